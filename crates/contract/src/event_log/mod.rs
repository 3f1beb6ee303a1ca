//! Cases for [`ports::EventLog`].

mod append;
mod follow;
mod handles;
mod keyed;
mod order;
mod read;
mod set_back;
mod time;
mod trim;
mod undecodable;

crate::case::cases! {
    "EL-01" Nothing append::every_event_gets_an_answer_and_a_rising_sequence;
    "EL-02" Nothing append::an_id_that_is_there_keeps_its_place;
    "EL-02" Nothing append::the_place_of_a_duplicate_has_the_event_that_was_first;
    "EL-02" Nothing append::an_id_twice_in_one_batch_is_there_once;
    "EL-02" Nothing append::of_concurrent_appends_of_one_id_one_is_new;
    "EL-02" Shared handles::an_id_that_another_handle_wrote_is_a_duplicate;
    "EL-02" Durable handles::an_id_from_before_a_reopen_is_a_duplicate;
    "EL-03" Nothing append::what_was_acknowledged_can_be_read;
    "EL-03" Nothing append::appending_again_completes_a_part;
    "EL-04" Nothing read::pages_leave_nothing_out;
    "EL-04" Nothing read::an_empty_log_is_at_its_head;
    "EL-05" Nothing order::readers_beside_eight_writers_see_no_late_event;
    "EL-05" Nothing order::nothing_appears_at_or_before_a_head_that_was_reported;
    "EL-05" Shared order::readers_on_other_handles_see_no_late_event;
    "EL-06" Nothing trim::a_trimmed_position_says_where_it_goes_on;
    "EL-07" Nothing read::the_head_names_the_log_and_its_end;
    "EL-07" Nothing read::two_logs_have_two_epochs;
    "EL-07" Shared handles::another_handle_has_the_same_epoch;
    "EL-07" Durable handles::the_epoch_outlives_a_reopen;
    "EL-08" Nothing read::backwards_is_newest_first_and_strictly_before;
    "EL-09" Nothing read::seek_misses_nothing_received_since;
    "EL-09" Nothing trim::a_seek_into_what_was_trimmed_is_told;
    "EL-09" Nothing trim::a_seek_in_a_log_trimmed_empty_is_told;
    "EL-09" Durable trim::a_seek_after_a_reopen_is_told;
    "EL-10" Nothing trim::only_the_old_front_goes;
    "EL-10" Nothing trim::an_emptied_log_goes_on_rising;
    "EL-10" Durable trim::an_emptied_log_goes_on_rising_after_a_reopen;
    "EL-11" Durable handles::what_was_acknowledged_outlives_a_reopen;
    "EL-12" Shared handles::what_one_handle_appended_another_reads_at_once;
    "EL-13" Nothing order::dropped_appends_leave_the_log_in_order;
    "EL-14" Nothing read::an_event_comes_back_as_it_was_stored;
    "EL-15" ForeignBytes undecodable::an_undecodable_entry_is_a_gap_and_what_follows_is_read;
    "EL-15" ForeignBytes undecodable::a_log_that_ends_with_undecodable_entries_is_read_to_its_end;
    "EL-15" ForeignBytes undecodable::backwards_an_undecodable_entry_is_named;
    "EL-15" ForeignBytes undecodable::seek_and_trim_work_beside_undecodable_entries;
    "EL-15" ForeignBytes undecodable::an_undecodable_entry_counts_once;
    "EL-16" Restorable set_back::a_handle_remembers_nothing_of_a_log_that_was_put_back;
    "EL-17" Authenticating keyed::only_what_a_role_appended_is_an_event;
    "EL-20" Nothing trim::an_event_from_the_future_keeps_nothing;
    "EL-25" Nothing append::a_check_accepts_and_stores_nothing;
    "EL-26" Nothing time::the_time_is_now_or_is_not_told;
    "EL-26" Nothing time::to_ask_for_the_time_stores_nothing;
    "EL-27" Nothing append::the_largest_event_is_taken;
    "EL-28" Nothing read::a_log_that_can_be_read_says_so_and_its_ends;
}
