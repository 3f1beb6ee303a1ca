//! Cases for [`ports::Budget`].

mod fixture;
mod handles;
mod paced;
mod reported;
mod slots;

pub use fixture::BudgetFixture;

crate::case::cases! {
    "BG-01" Nothing paced::all_of_a_demand_is_granted_or_nothing;
    "BG-01" Nothing paced::who_waits_as_long_as_is_said_is_granted;
    "BG-02" Nothing paced::no_span_of_a_period_has_more_than_the_capacity;
    "BG-03" Nothing paced::a_period_has_nearly_all_of_the_capacity;
    "BG-04" Nothing reported::nothing_is_bounded_before_the_first_report;
    "BG-04" Nothing reported::what_remains_is_granted_until_the_reset_and_the_limit_after_it;
    "BG-05" Nothing reported::the_tighter_number_counts;
    "BG-05" Nothing reported::a_report_of_a_window_that_is_over_changes_nothing;
    "BG-05" Nothing reported::a_report_of_a_later_window_begins_it;
    "BG-05" Nothing reported::what_is_under_way_is_not_in_a_report_yet;
    "BG-06" Nothing reported::what_is_given_back_can_be_taken_up_to_the_limit;
    "BG-07" Nothing slots::a_stopped_account_grants_nothing_until_the_last_stop_is_over;
    "BG-08" Nothing slots::no_more_slots_are_held_than_the_rule_has;
    "BG-08" Nothing slots::a_slot_that_nobody_settles_is_free_after_its_time;
    "BG-09" Nothing paced::accounts_and_buckets_do_not_touch_each_other;
    "BG-10" Nothing paced::a_demand_beyond_the_capacity_is_one_for_all_of_it;
    "BG-10" Nothing reported::a_demand_beyond_the_limit_is_one_for_all_of_it;
    "BG-11" Shared handles::three_handles_share_one_capacity;
    "BG-11" Shared handles::a_stop_and_a_report_of_one_handle_count_for_all;
    "BG-12" Durable handles::what_was_taken_and_stopped_counts_after_a_reopen;
}
