//! [`sse_edge::parameters`]: a route of REST with its query, as in a request line: `recent?limit=3`,
//! `replay/2026-11-20?to=…`, `stream?repo=octo/cat`, `subscribe?limit=3`.

use axum::extract::Query;
use http::Uri;
use model::{
    CursorKeys, CursorScope, Epoch, Filter, FilterDefaults, FilterRequest, FilterSet, PrincipalId,
    Timestamp,
};
use sse_edge::parameters::{
    MAX_LIMIT, MAX_OFFSET, Order, ParameterError, RecentParameters, ReplayParameters,
    StreamParameters, SubscriptionListParameters,
};
use subscriptions::limits::MAX_PAGE;

type Pairs = Vec<(String, String)>;

/// The operator chose nothing.
const DEFAULTS: FilterDefaults = FilterDefaults {
    issues_include_pull_requests: false,
};

/// The parameters that a refusal may name beside those of the input and of a filter.
const NAMES: [&str; 11] = [
    "limit",
    "offset",
    "order",
    "from",
    "before",
    "timestamp",
    "to",
    "cursor",
    "clientId",
    "lastEventId",
    "subscription",
];

pub(crate) fn run(data: &[u8]) {
    let Some((route, pairs)) = std::str::from_utf8(data).ok().and_then(request) else {
        return;
    };
    match &*route {
        "recent" => match RecentParameters::read(pairs.clone(), DEFAULTS) {
            Ok(read) => recent(&read),
            Err(error) => refused(&error, &pairs),
        },
        "subscribe" => match SubscriptionListParameters::read(pairs.clone(), MAX_PAGE) {
            Ok(read) => subscriptions(&read),
            Err(error) => refused(&error, &pairs),
        },
        "stream" => match StreamParameters::read(pairs.clone(), DEFAULTS) {
            Ok(read) => stream(&read),
            Err(error) => refused(&error, &pairs),
        },
        _ => {
            let time = route.strip_prefix("replay/").unwrap_or(&route);
            match ReplayParameters::read(time, pairs.clone(), DEFAULTS) {
                Ok(read) => replay(&read),
                Err(error) => refused(&error, &pairs),
            }
        }
    }
}

/// The route, decoded, and the pairs of the query, as the edge gets them.
fn request(text: &str) -> Option<(String, Pairs)> {
    let (route, query) = text.split_once('?').unwrap_or((text, ""));
    let decoded = decode(&format!("route={}", route.replace('&', "%26")))?;
    Some((decoded.into_iter().next()?.1, decode(query)?))
}

fn decode(query: &str) -> Option<Pairs> {
    let uri: Uri = format!("/?{query}").parse().ok()?;
    let pairs = Query::try_from_uri(&uri).expect("text decodes to pairs of text");
    Some(pairs.0)
}

fn refused(error: &ParameterError, pairs: &Pairs) {
    let text = error.to_string();
    let mut sent = pairs.iter().map(|(name, _)| name.as_str());
    let begins = |name: &str| {
        let rest = text.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(": "))
    };
    assert!(
        FilterRequest::FIELDS.into_iter().any(begins)
            || NAMES.into_iter().any(begins)
            || sent.any(begins),
        "a refusal names the parameter: {text}"
    );
}

/// Written in full, the parameters are read as the same.
fn recent(read: &RecentParameters) {
    bounded(read.limit, &read.filters);
    let mut pairs = written(&read.filters);
    let order = pair("order", order(read.order));
    pairs.extend([pair("limit", read.limit), order]);
    pairs.push(offset(read.offset));
    pairs.extend(read.from.map(|from| pair("from", from)));
    pairs.extend(read.to.map(|to| pair("to", to)));
    pairs.extend(cursor("before", read.before.as_deref()));
    let again = RecentParameters::read(encoded(&pairs), DEFAULTS);
    assert_eq!(again.as_ref(), Ok(read));
}

fn replay(read: &ReplayParameters) {
    bounded(read.limit, &read.filters);
    let mut pairs = written(&read.filters);
    pairs.push(pair("limit", format!(" {}.0 ", read.limit)));
    pairs.extend(read.to.map(|to| pair("to", to)));
    pairs.extend([pair("order", order(read.order)), offset(read.offset)]);
    let name = match read.order {
        Order::OldestFirst => "cursor",
        Order::NewestFirst => "before",
    };
    pairs.extend(cursor(name, read.cursor.as_deref()));
    let from = read.from.to_string();
    let again = ReplayParameters::read(&from, encoded(&pairs), DEFAULTS);
    assert_eq!(again.as_ref(), Ok(read));
}

fn order(order: Order) -> &'static str {
    match order {
        Order::NewestFirst => "DESC",
        Order::OldestFirst => "asc",
    }
}

fn offset(offset: usize) -> (String, String) {
    assert!(offset <= MAX_OFFSET);
    pair("offset", offset)
}

fn stream(read: &StreamParameters) {
    bounded(1, &read.filters);
    let mut pairs = written(&read.filters);
    pairs.extend(read.client_id.as_ref().map(|id| pair("clientId", id)));
    pairs.extend(
        read.subscription
            .as_deref()
            .map(|id| pair("subscription", id)),
    );
    assert!(read.subscription.is_none() || read.filters.filters().is_empty());
    pairs.extend(cursor("lastEventId", read.last_event_id.as_deref()));
    let again = StreamParameters::read(encoded(&pairs), DEFAULTS);
    assert_eq!(again.as_ref(), Ok(read));
    let time = read
        .last_event_id
        .as_deref()
        .and_then(Timestamp::from_input);
    assert_eq!(
        time.and_then(|time| Timestamp::from_input(&time.to_string())),
        time
    );
}

fn subscriptions(read: &SubscriptionListParameters) {
    assert!((1..=MAX_PAGE).contains(&read.limit));
    let limit = pair("limit", read.limit);
    let cursor = read.cursor.as_deref().map(|text| pair("cursor", text));
    let pairs: Pairs = cursor.into_iter().chain([limit]).collect();
    let again = SubscriptionListParameters::read(encoded(&pairs), MAX_PAGE);
    assert_eq!(again.as_ref(), Ok(read));
}

fn bounded(limit: usize, filters: &FilterSet) {
    assert!((1..=MAX_LIMIT).contains(&limit));
    assert!(filters.filters().len() <= 1, "one query is one filter");
}

/// A cursor is what the edge could have given out, or is refused; with either it is one line.
fn cursor(name: &'static str, text: Option<&str>) -> Option<(String, String)> {
    let text = text?;
    assert!(!text.is_empty() && text == text.trim());
    let principal = PrincipalId::anonymous();
    let keys = CursorKeys::new(&[], Epoch(7), true);
    let _ = keys.open(text, CursorScope::events(&principal));
    Some(pair(name, text))
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "callers have text, numbers and times"
)]
fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// A filter as the parameters of a query; every label is quoted.
fn written(filters: &FilterSet) -> Pairs {
    let Some(filter) = filters.filters().first() else {
        return Pairs::new();
    };
    let Filter {
        number,
        database_id,
        is_pull_request,
        include_pull_requests,
        tags,
        authors,
        author_association,
        ..
    } = filter;
    let json = serde_json::to_value(filter).expect("a filter is JSON");
    let fields = json.as_object().expect("a filter is an object");
    let texts = fields
        .iter()
        .filter_map(|(name, value)| Some(pair(name, value.as_str()?)));
    let mut pairs: Pairs = texts.collect();
    pairs.extend(number.map(|number| pair("number", number)));
    pairs.extend(database_id.map(|id| pair("databaseId", id)));
    pairs.extend(is_pull_request.map(|flag| pair("isPullRequest", flag)));
    pairs.extend(include_pull_requests.then(|| pair("includePullRequests", true)));
    for (name, words) in [
        ("authors", authors),
        ("authorAssociation", author_association),
    ] {
        pairs.extend((!words.is_empty()).then(|| pair(name, words.join(","))));
    }
    let quoted = |label: &String| format!("\"{}\"", label.replace('"', "\"\""));
    let tags: Vec<_> = tags.iter().map(quoted).collect();
    if !tags.is_empty() {
        pairs.push(pair("tags", tags.join(", ")));
    }
    pairs
}

/// The pairs, sent and decoded.
fn encoded(pairs: &Pairs) -> Pairs {
    let escape = |text: &str| {
        text.bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect::<String>()
    };
    let parts = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)));
    // Longer than a URI may be, it is only compared undecoded.
    let query = parts.collect::<Vec<_>>().join("&");
    decode(&query).unwrap_or_else(|| pairs.clone())
}
