//! `rate_limits` of providers and models.

use super::{Key, Kind, Section};

/// Longest limit interval: 31 days, in seconds.
const MONTH: u64 = 31 * 86_400;
/// The largest limit.
const MOST: u64 = i64::MAX as u64;

const PER_USER_KEY: Key = Key::new("per_user", Kind::Table(&TABLE), "", "Limits of each client.");
const PER_GROUP_KEY: Key = Key::new("per_group", Kind::Table(&POOLS), "", "One pool for each group.");
const TOTAL_KEY: Key = Key::new(
    "total",
    Kind::Table(&ENTRY),
    "",
    "One pool for all callers, with the keys of a group; needs no identification.",
);

#[rustfmt::skip]
pub(super) static PROVIDER_LIMITS: Section = Section {
    title: "[llm.providers.NAME.rate_limits]",
    keys: &[PER_USER_KEY, PER_GROUP_KEY, TOTAL_KEY],
    names: Some(Key::new("MODEL", Kind::Table(&MODEL_LIMITS), "", "Old spelling of `models.MODEL.rate_limits`.")),
};

#[rustfmt::skip]
pub(super) static MODEL_LIMITS: Section = Section {
    title: "[llm.providers.NAME.models.MODEL.rate_limits]",
    names: None,
    keys: &[PER_USER_KEY, PER_GROUP_KEY, TOTAL_KEY],
};

#[rustfmt::skip]
static TABLE: Section = Section { title: "[….rate_limits.per_user]", names: None, keys: &[
    INPUT, INTERVAL,
    Key::new("groups", Kind::Table(&GROUPS), "", "Limits of the clients of one group."),
    OUTPUT, TOTAL, REQUESTS, COST, CONCURRENT, WINDOWS, MODE, ON_OUTPUT,
] };

#[rustfmt::skip]
static GROUPS: Section = Section { title: "[….rate_limits.per_user.groups]", keys: &[],
    names: Some(Key::new("GROUP", Kind::Table(&ENTRY), "", "A group that is listed in `group_values`.")) };

#[rustfmt::skip]
static ENTRY: Section = Section { title: "[….rate_limits.per_user.groups.GROUP]", names: None,
    keys: &[INPUT, INTERVAL, OUTPUT, TOTAL, REQUESTS, COST, CONCURRENT, WINDOWS, MODE, ON_OUTPUT] };

#[rustfmt::skip]
static WINDOW: Section = Section { title: "[[….rate_limits.per_user.windows]]", names: None, keys: &[
    INPUT, INTERVAL, OUTPUT, TOTAL, REQUESTS, COST,
    Key::new("mode", MODES, "", "As of the table, for this window; absent = that of the table."),
    Key::new("on_output_limit", ENDS, "", "As of the table, for this window; absent = that of the table."),
] };

#[rustfmt::skip]
static POOLS: Section = Section { title: "[….rate_limits.per_group]", names: None, keys: &[
    Key::new("groups", Kind::Table(&POOL_GROUPS), "", "A pool for each group."),
    Key::new("max_share", Kind::Number, "", "The most of a window that one client may hold while others of its group ask: above 0, at most 1; absent = all of it. Not of `concurrent_limit`."),
] };

#[rustfmt::skip]
static POOL_GROUPS: Section = Section { title: "[….rate_limits.per_group.groups]", keys: &[],
    names: Some(Key::new("GROUP", Kind::Table(&ENTRY), "", "A group that is listed in `group_values`; the keys are those of a group of `per_user`.")) };

const MODES: Kind = Kind::Choice(&["enforce", "shadow"]);
const ENDS: Kind = Kind::Choice(&["finish", "cut"]);

const INPUT: Key =
    Key::new("input_token_limit", Kind::Integer(0, MOST), "", "Input tokens in any `interval`; 0 = none.");
const INTERVAL: Key =
    Key::new("interval", Kind::Duration(1, MONTH), "", "Length of the sliding window, 1 s to 31 d.");
const OUTPUT: Key =
    Key::new("output_token_limit", Kind::Integer(0, MOST), "", "Output tokens in any `interval`.");
const TOTAL: Key =
    Key::new("total_token_limit", Kind::Integer(0, MOST), "", "Input and output tokens in any `interval`.");
const REQUESTS: Key = Key::new("request_limit", Kind::Integer(0, MOST), "", "Calls in any `interval`.");
const COST: Key =
    Key::new("cost_limit", Kind::Number, "", "Money in any `interval`, by the `price` of the model.");
const CONCURRENT: Key =
    Key::new("concurrent_limit", Kind::Integer(0, 1 << 32), "", "Calls in flight; it has no `interval`.");
const WINDOWS: Key = Key::new(
    "windows",
    Kind::Tables(&WINDOW),
    "",
    "The same limits over other intervals, beside those of the table.",
);
const MODE: Key = Key::new("mode", MODES, "\"enforce\"", "`shadow` counts and never refuses.");
const ON_OUTPUT: Key = Key::new(
    "on_output_limit",
    ENDS,
    "",
    "What becomes of a stream when output, total or cost is used up; absent = that of [llm.limits].",
);
