use opentelemetry_sdk::trace::SpanData;
use tracing_subscriber::{Layer, layer::SubscriberExt};

use super::*;
use crate::{recording::SamplingPolicy, testing};
use model::RandomIds;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The spans that ended while `work` ran, under a share of requests that are recorded.
fn recorded(ratio: f64, work: impl FnOnce()) -> Vec<SpanData> {
    let policy = SamplingPolicy {
        ratio,
        follows_clients: false,
    };
    let (recorder, spans) = testing::recorder(policy);
    let lines = tracing_subscriber::fmt::layer()
        .with_test_writer()
        .with_filter(tracing_subscriber::filter::LevelFilter::INFO);
    tracing::subscriber::with_default(recorder.with(lines), work);
    spans.ended()
}

#[test]
fn a_request_goes_on_with_its_callers_trace_and_its_work_below_it() {
    let spans = recorded(1.0, || {
        let (request, context) = TraceSpan::of_request(
            SpanName::HttpRequest,
            TraceContext::parse(CALLER),
            &RandomIds,
        );
        assert!(context.sampled);
        request.rename(|| "POST /x".to_owned());
        let append = TraceSpan::child(SpanName::Append, Some(context));
        append.set("forgewire.events", 3);
        append.in_scope(|| {
            let call = TraceSpan::of_current(SpanName::StoreCall);
            assert_ne!(call.context(), append.context());
            tracing::warn!("the disk is slow");
            tracing::info!("not an event of the span");
        });
    });
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["store", "append", "POST /x"]);
    let [store, append, request] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(
        request.span_context.trace_id().to_string(),
        CALLER[3..35].to_owned()
    );
    assert_eq!(
        request.parent_span_id.to_string(),
        CALLER[36..52].to_owned()
    );
    assert_eq!(append.parent_span_id, request.span_context.span_id());
    assert_eq!(store.parent_span_id, append.span_context.span_id());
    assert_eq!(append.events.len(), 1, "{:?}", append.events);
    assert_eq!(append.attributes.len(), 1, "{:?}", append.attributes);
}

#[test]
fn nothing_is_recorded_of_a_request_outside_the_share() {
    let spans = recorded(0.0, || {
        let caller = TraceContext::parse(CALLER);
        let (request, context) = TraceSpan::of_request(SpanName::HttpRequest, caller, &RandomIds);
        assert!(!request.is_recorded() && !context.sampled);
        assert_eq!(context.trace, caller.unwrap().trace);
        assert!(!TraceSpan::child(SpanName::Append, Some(context)).is_recorded());
        assert!(!TraceSpan::of_current(SpanName::StoreCall).is_recorded());
    });
    assert!(spans.is_empty(), "{spans:?}");
}

#[test]
fn a_process_without_a_recorder_makes_others_record_nothing_on_a_clients_word() {
    let caller = TraceContext::parse(CALLER);
    let (request, context) = TraceSpan::of_request(SpanName::HttpRequest, caller, &RandomIds);
    assert!(!request.is_recorded() && !context.sampled);
    assert_eq!(context.trace, caller.unwrap().trace);
    let (call, of_call) = TraceSpan::of_call(SpanName::Call, None, caller);
    let of_call = of_call.unwrap();
    assert!(!call.is_recorded() && !of_call.sampled);
    // In the next process, which records.
    let spans = recorded(1.0, || {
        for context in [context, of_call] {
            assert!(!TraceSpan::child(SpanName::Append, Some(context)).is_recorded());
        }
    });
    assert!(spans.is_empty());
}

#[test]
fn a_call_goes_on_with_the_trace_that_it_names_and_links_its_request() {
    let meta = TraceContext::parse(CALLER);
    let spans = recorded(1.0, || {
        let (request, http) = TraceSpan::of_request(SpanName::HttpRequest, None, &RandomIds);
        let (call, context) = TraceSpan::of_call(SpanName::Call, Some(http), meta);
        assert_eq!(context, call.context());
        drop((call, request));
        // The request brought the same trace: it is between the client's span and the call.
        let (request, http) = TraceSpan::of_request(SpanName::HttpRequest, meta, &RandomIds);
        let (call, _) = TraceSpan::of_call(SpanName::Call, Some(http), meta);
        drop((call, request));
    });
    let [named, request, same, carrier] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(named.span_context.trace_id().to_string(), CALLER[3..35]);
    assert_eq!(named.parent_span_id.to_string(), CALLER[36..52]);
    assert_eq!(
        named.links[0].span_context.trace_id(),
        request.span_context.trace_id()
    );
    assert_eq!(same.parent_span_id, carrier.span_context.span_id());
    assert!(same.links.is_empty());
    let unrecorded = recorded(0.0, || {
        let (_, http) = TraceSpan::of_request(SpanName::HttpRequest, None, &RandomIds);
        let (call, context) = TraceSpan::of_call(SpanName::Call, Some(http), meta);
        let context = context.unwrap();
        assert!(!call.is_recorded() && !context.sampled);
        assert_eq!(context.trace, meta.unwrap().trace);
    });
    assert!(unrecorded.is_empty());
}

#[test]
fn a_link_and_an_error_are_part_of_the_span() {
    let other = TraceContext::parse(CALLER).unwrap();
    let spans = recorded(1.0, || {
        let (span, _) = TraceSpan::of_request(SpanName::Call, None, &RandomIds);
        span.link(other);
        span.fail_as("transient");
    });
    assert_eq!(spans[0].links.len(), 1);
    assert_eq!(spans[0].status, Status::error("transient"));
    assert!(!spans[0].parent_span_is_remote);
}
