//! Cases for [`ports::Bus`].

mod delivery;
mod faults;
mod keyed;
mod subscriber;

crate::case::cases! {
    "BU-01" Nothing delivery::what_is_published_after_subscribing_arrives_with_its_trace;
    "BU-01" Nothing delivery::every_kind_of_message_arrives_as_it_was;
    "BU-02" Nothing delivery::one_publishers_messages_arrive_in_order;
    "BU-03" Nothing delivery::a_topic_gets_nothing_of_another;
    "BU-03" Nothing delivery::all_sessions_are_every_session_and_no_broadcast;
    "BU-04" Nothing delivery::every_subscriber_gets_every_message;
    "BU-05" Nothing faults::who_does_not_read_gets_a_gap_and_stops_nobody;
    "BU-06" Nothing delivery::dropping_ends_it_and_publishing_to_nobody_is_fine;
    "BU-07" Reconnecting faults::a_lost_connection_is_a_gap_and_then_messages_again;
    "BU-08" ForeignBytes faults::foreign_bytes_are_counted_and_harm_nothing;
    "BU-09" Shared delivery::another_handles_messages_arrive;
    "BU-10" Nothing delivery::publishing_to_all_sessions_is_refused;
    "BU-11" Authenticating keyed::only_what_a_role_published_arrives;
}
