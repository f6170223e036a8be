//! The table of methods as a page for people: a part of docs/rpc.md, which a test keeps as this says.

use crate::methods::METHODS;
use crate::param::ParamKind;
use crate::refused::REFUSED;

/// All methods, in Markdown.
pub fn reference() -> String {
    let mut text = String::new();
    let mut group = "";
    for method in METHODS {
        if method.group != group {
            group = method.group;
            text.push_str(&format!("\n### {group}\n\n| method | what it does | what comes back |\n|---|---|---|\n"));
        }
        let params: String = method
            .params
            .iter()
            .filter(|p| !is_silent(p.kind))
            .map(|p| if p.default.is_none() { format!(" {}", p.name) } else { format!(" [{}]", p.name) })
            .collect();
        let summary = method.summary.replace('|', "\\|");
        text.push_str(&format!("| `{}{params}` | {summary} | {} |\n", method.name, method.returns));
    }
    text.push_str("\n### Methods of Bitcoin's and Dash's that are not here\n\nThey answer -32601 and say why.\n\n| methods | why |\n|---|---|\n");
    for (names, reason) in REFUSED {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        text.push_str(&format!("| {} | {reason} |\n", names.join(", ")));
    }
    text
}

/// Parameters that are there for the sake of Bitcoin's clients only.
const fn is_silent(kind: ParamKind) -> bool {
    matches!(kind, ParamKind::Ignored | ParamKind::Only(_))
}
