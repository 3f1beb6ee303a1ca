//! Cases for [`ports::Mailbox`].

mod append;
mod handles;
mod life;
mod limits;
mod owners;
mod read;
mod set_back;
mod setup;
mod streams;

crate::case::cases! {
    "MB-01" Nothing append::sequences_rise_over_all_streams_of_a_mailbox;
    "MB-01" Nothing append::a_payload_comes_back_byte_for_byte;
    "MB-02" Nothing append::fifty_concurrent_appends_get_fifty_places;
    "MB-02" Nothing append::readers_beside_writers_see_no_late_message;
    "MB-02" Shared handles::fifty_concurrent_appends_over_handles_get_fifty_places;
    "MB-02" Shared handles::readers_on_other_handles_see_no_late_message;
    "MB-03" Nothing life::without_a_living_mailbox_every_call_says_so;
    "MB-04" Nothing append::what_is_too_large_is_refused_and_changes_nothing;
    "MB-05" Nothing read::pages_hold_one_stream_and_leave_nothing_out;
    "MB-05" Nothing read::a_page_is_bounded_in_bytes_and_numbers;
    "MB-05" Nothing read::a_stream_that_never_was_is_empty_and_open;
    "MB-06" Nothing limits::beyond_the_number_the_oldest_of_the_mailbox_go;
    "MB-06" Nothing limits::beyond_the_bytes_the_oldest_of_the_mailbox_go;
    "MB-06" Nothing limits::beyond_the_age_the_oldest_of_the_mailbox_go;
    "MB-06" Nothing limits::the_message_just_appended_stays;
    "MB-07" Nothing limits::who_missed_something_is_told_and_nobody_else;
    "MB-08" Nothing streams::trim_removes_one_streams_messages;
    "MB-09" Nothing streams::a_closed_stream_takes_nothing_and_can_be_read;
    "MB-09" Nothing streams::nothing_is_appended_after_a_close;
    "MB-10" Nothing streams::closed_streams_are_forgotten_first_and_readers_are_told;
    "MB-10" Nothing streams::a_stream_opened_later_is_not_told_of_earlier_losses;
    "MB-11" Nothing streams::opening_gives_a_place_before_all_messages;
    "MB-12" Nothing life::opening_a_living_mailbox_keeps_what_is_there;
    "MB-12" Nothing life::a_mailbox_opened_later_is_empty_and_earlier_readers_are_told;
    "MB-12" Durable handles::sequences_of_an_ended_mailbox_are_not_given_out_after_a_reopen;
    "MB-13" Durable handles::what_was_acknowledged_outlives_a_reopen;
    "MB-14" Shared handles::what_one_handle_did_another_sees_at_once;
    "MB-15" Nothing read::a_page_has_the_end_of_the_whole_mailbox;
    "MB-17" Nothing owners::the_mailboxes_of_one_owner_have_a_bound_together;
    "MB-17" Nothing owners::beyond_it_the_oldest_of_the_own_mailbox_go;
    "MB-17" Nothing owners::what_is_too_old_counts_no_longer;
    "MB-17" Nothing owners::what_expired_or_ended_counts_no_longer;
    "MB-17" Nothing owners::a_mailbox_counts_for_whom_it_was_opened;
    "MB-16" GoesBack set_back::sequences_of_a_lost_time_are_not_given_out_again;
    "MB-18" Nothing life::a_touch_alone_decides_how_long_a_mailbox_lives;
    "MB-19" Nothing life::an_end_removes_a_mailbox_and_can_be_repeated;
    "MB-19" Shared handles::an_end_through_one_handle_holds_for_all;
}
