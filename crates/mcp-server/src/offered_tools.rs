//! The tools that a request asks for, by headers that GitHub's own server takes too. They hold for the request alone, in
//! every revision.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

/// Names of toolsets, by commas. `all` and `default` mean all. A name that no toolset has selects nothing, as on
/// GitHub's own server: clients name toolsets of several servers.
pub const TOOLSETS_HEADER: HeaderName = HeaderName::from_static("x-mcp-toolsets");
/// Names of tools, by commas, in addition to the toolsets; without toolsets, these alone. A name that no tool has is
/// refused, as on GitHub's own server.
pub const TOOLS_HEADER: HeaderName = HeaderName::from_static("x-mcp-tools");
/// Names of tools that are left out, whatever else selects them. Unknown ones are passed over.
pub const EXCLUDE_TOOLS_HEADER: HeaderName = HeaderName::from_static("x-mcp-exclude-tools");
/// Whether tools that change something are left out, whatever else selects them.
pub const READ_ONLY_HEADER: HeaderName = HeaderName::from_static("x-mcp-readonly");

/// Words that mean no, in any case. Any other word means yes.
const NO: [&str; 7] = ["", "false", "f", "no", "n", "0", "off"];
/// Toolsets that mean all.
const ALL: [&str; 2] = ["all", "default"];

/// The tools that a request asks for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ToolChoice {
    toolsets: Vec<String>,
    /// Names of tools that are asked for one by one.
    pub(crate) tools: Vec<String>,
    excluded: Vec<String>,
    read_only: bool,
}

impl ToolChoice {
    /// Of a request with these headers; `None` if it asks for all.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let read_only = headers.get_all(READ_ONLY_HEADER).iter().any(|value| {
            let value = value.to_str().unwrap_or("true").trim();
            !NO.iter().any(|no| value.eq_ignore_ascii_case(no))
        });
        let choice = Self {
            toolsets: names(headers, &TOOLSETS_HEADER),
            tools: names(headers, &TOOLS_HEADER),
            excluded: names(headers, &EXCLUDE_TOOLS_HEADER),
            read_only,
        };
        (choice != Self::default()).then_some(choice)
    }

    /// Whether a tool is asked for. `is_in` says whether its toolset has a name.
    pub(crate) fn has(&self, tool: &str, is_read_only: bool, is_in: impl Fn(&str) -> bool) -> bool {
        let is_named = |names: &[String]| names.iter().any(|name| name == tool);
        let is_all = |name: &str| ALL.iter().any(|all| name.eq_ignore_ascii_case(all));
        let mut toolsets = self.toolsets.iter();
        let is_selected = (self.toolsets.is_empty() && self.tools.is_empty())
            || toolsets.any(|name| is_all(name) || is_in(name))
            || is_named(&self.tools);
        is_selected && !is_named(&self.excluded) && (is_read_only || !self.read_only)
    }
}

/// Names by commas, in one header or several, without those that are empty.
fn names(headers: &HeaderMap, header: &HeaderName) -> Vec<String> {
    let values = headers.get_all(header).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let names = texts.flat_map(|text| text.split(','));
    let names = names.map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// The names by which clients select a toolset.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ToolsetNames {
    pub(crate) own: &'static str,
    pub(crate) whole: Option<&'static str>,
}

impl ToolsetNames {
    /// Whether clients mean the set by a name, in any case.
    pub(crate) fn has(self, name: &str) -> bool {
        let mut names = [Some(self.own), self.whole].into_iter().flatten();
        names.any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// The tools that a request is offered. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct OfferedTools(Option<Arc<[bool]>>);

impl OfferedTools {
    /// Some of the tools of a server, in its order.
    pub(crate) fn some(offered: impl Iterator<Item = bool>) -> Self {
        Self(Some(offered.collect()))
    }

    /// Whether the request asks for something else than all.
    #[must_use]
    pub const fn is_choice(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the tool at this place is offered.
    pub(crate) fn has(&self, place: usize) -> bool {
        let offered = self.0.as_deref();
        offered.is_none_or(|offered| offered.get(place) == Some(&true))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Of the tools read (in issues, of github), write (in issues, of github) and wait (in events).
    fn chosen(headers: &[(HeaderName, &'static str)]) -> Option<Vec<&'static str>> {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let choice = ToolChoice::of(&headers.collect())?;
        let tools = [
            ("read", true, "issues"),
            ("write", false, "issues"),
            ("wait", true, "events"),
        ];
        let has = |(tool, is_read_only, set): &(&str, bool, &str)| {
            let is_in = |name: &str| name == *set || (*set == "issues" && name == "github");
            choice.has(tool, *is_read_only, is_in)
        };
        Some(
            tools
                .into_iter()
                .filter(has)
                .map(|(tool, ..)| tool)
                .collect(),
        )
    }

    #[test]
    fn headers_choose_as_on_githubs_own_server() {
        for (headers, expected) in [
            (vec![], None),
            (vec![(TOOLSETS_HEADER, " , ")], None),
            (vec![(READ_ONLY_HEADER, "off")], None),
            (
                vec![(TOOLSETS_HEADER, "issues")],
                Some(vec!["read", "write"]),
            ),
            (
                vec![(TOOLSETS_HEADER, "github")],
                Some(vec!["read", "write"]),
            ),
            (
                vec![(TOOLSETS_HEADER, "events, issues")],
                Some(vec!["read", "write", "wait"]),
            ),
            (vec![(TOOLSETS_HEADER, "gists")], Some(vec![])),
            (
                vec![(TOOLSETS_HEADER, "gists,All")],
                Some(vec!["read", "write", "wait"]),
            ),
            (vec![(TOOLS_HEADER, "wait")], Some(vec!["wait"])),
            (
                vec![(TOOLSETS_HEADER, "issues"), (TOOLS_HEADER, "wait")],
                Some(vec!["read", "write", "wait"]),
            ),
            (vec![(READ_ONLY_HEADER, "true")], Some(vec!["read", "wait"])),
            (
                vec![(READ_ONLY_HEADER, "1"), (TOOLS_HEADER, "write")],
                Some(vec![]),
            ),
            (
                vec![(EXCLUDE_TOOLS_HEADER, "read,nothing")],
                Some(vec!["write", "wait"]),
            ),
            (
                vec![(TOOLS_HEADER, "read"), (EXCLUDE_TOOLS_HEADER, "read")],
                Some(vec![]),
            ),
        ] {
            assert_eq!(chosen(&headers), expected, "{headers:?}");
        }
    }
}
