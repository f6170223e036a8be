//! No circle between the files of a crate: who reads one of them need not have read all of them before.

use super::{before_tests, is_test_file, root, rust_files};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Two files that may need each other, and why.
const ALLOWED: [(&str, &str, &str); 1] = [(
    "src/chain/src/application.rs",
    "src/chain/src/state_view.rs",
    "the methods of the trait are given a view, and a view holds what the types of the trait are",
)];

/// A path in the code, in parts.
type Parts = Vec<String>;

/// An item that a `use` brings in.
struct Import {
    parts: Parts,
    /// Under which name.
    name: String,
    is_public: bool,
}

/// What a file needs, as far as its text says.
struct Source {
    path: String,
    /// Its place in the crate; empty for `lib.rs`.
    module: Parts,
    imports: Vec<Import>,
    /// Paths in its code, outside of `use`.
    paths: Vec<Parts>,
    /// Words in its code, outside of `use`.
    words: BTreeSet<String>,
    /// Words in the heads of its `impl` blocks.
    implements: BTreeSet<String>,
}

/// Words and signs of code, without comments, text and attributes' values.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = before_tests(text).chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while at < chars.len() {
        let next = chars.get(at + 1).copied();
        match chars[at] {
            '/' if next == Some('/') => at += chars[at..].iter().take_while(|c| **c != '\n').count(),
            '"' => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            // A quote as a character would begin a text; a life time ends by itself.
            '\'' if chars.get(at + 2) == Some(&'\'') => at += 3,
            '\'' if next == Some('\\') => at += 4,
            c if is_word(c) => {
                let word: String = chars[at..].iter().take_while(|c| is_word(**c)).collect();
                at += word.chars().count();
                found.push(word);
            }
            ':' if next == Some(':') => {
                found.push("::".into());
                at += 2;
            }
            c => {
                if !c.is_whitespace() {
                    found.push(c.into());
                }
                at += 1;
            }
        }
    }
    found
}

/// The items of a `use` tree, of which `before` was read.
fn imports(tree: &[String], before: &[String], is_public: bool, into: &mut Vec<Import>) {
    let mut parts = before.to_vec();
    let mut at = 0;
    while let Some(token) = tree.get(at) {
        match &token[..] {
            "::" => {}
            "{" => {
                let mut depth = 0;
                let mut start = at + 1;
                for (end, token) in tree.iter().enumerate().skip(at) {
                    match &token[..] {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 || (depth == 1 && token == ",") {
                        imports(&tree[start.min(end)..end], &parts, is_public, into);
                        start = end + 1;
                    }
                    if depth == 0 {
                        return;
                    }
                }
                return;
            }
            "as" => {
                let name = tree.get(at + 1).cloned().unwrap_or_default();
                return into.push(Import { parts, name, is_public });
            }
            "self" if at > 0 || !before.is_empty() => {}
            word => parts.push(word.to_owned()),
        }
        at += 1;
    }
    if let Some(name) = parts.last().filter(|_| parts.len() > before.len() || !tree.is_empty()).cloned() {
        into.push(Import { parts, name, is_public });
    }
}

fn source(path: String, module: Parts, text: &str) -> Source {
    let tokens = tokens(text);
    let mut source =
        Source { path, module, imports: vec![], paths: vec![], words: BTreeSet::new(), implements: BTreeSet::new() };
    let is_word = |token: &String| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let is_visibility = rest[0] == "pub" && rest.get(1).is_some_and(|t| t == "(");
        if is_visibility {
            at += rest.iter().position(|t| t == ")").map_or(1, |end| end + 1);
        } else if rest[0] == "use" && rest.get(1).is_some_and(|t| is_word(t) || t == "{") {
            let end = rest.iter().position(|t| t == ";").unwrap_or(rest.len());
            let is_public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            imports(&rest[1..end], &[], is_public, &mut source.imports);
            at += end;
        } else if is_word(&rest[0]) {
            if rest[0] == "impl" {
                let end = rest.iter().position(|t| t == "{" || t == ";").unwrap_or(rest.len());
                source.implements.extend(rest[1..end].iter().filter(|t| is_word(t)).cloned());
            }
            let mut parts = vec![rest[0].clone()];
            let mut length = 1;
            while rest.get(length).is_some_and(|t| t == "::") && rest.get(length + 1).is_some_and(is_word) {
                parts.push(rest[length + 1].clone());
                length += 2;
            }
            let is_continued = at > 0 && tokens[at - 1] == "::";
            source.words.extend(parts.iter().cloned());
            if parts.len() > 1 && !is_continued {
                source.paths.push(parts);
            }
            at += length;
        } else {
            at += 1;
        }
    }
    source
}

/// The place of a path that is written in `module`; `None` for what is not of this crate.
fn place(module: &[String], parts: &[String], modules: &BTreeSet<Parts>) -> Option<Parts> {
    let mut base = module.to_vec();
    let mut rest = parts;
    match &parts.first()?[..] {
        "crate" => (base, rest) = (Vec::new(), &parts[1..]),
        "self" => rest = &parts[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        child => {
            let is_child = modules.contains(&[module, &[child.to_owned()]].concat());
            if !is_child || parts.len() < 2 {
                return None;
            }
        }
    }
    Some([&base[..], rest].concat())
}

/// Which file defines what has this place, and the rest of the path there. A name that a file only passes on is sought behind it.
fn defined_in(
    place: &[String],
    sources: &BTreeMap<Parts, &Source>,
    passed_on: &BTreeMap<Parts, Parts>,
    depth: usize,
) -> Option<(Parts, Parts)> {
    let length = (0..=place.len()).rev().find(|length| sources.contains_key(&place[..*length]))?;
    let behind = place.get(..=length).and_then(|name| passed_on.get(name)).filter(|_| depth < 8);
    match behind {
        Some(other) => defined_in(&[&other[..], &place[length + 1..]].concat(), sources, passed_on, depth + 1),
        None => Some((place[..length].to_vec(), place[length..].to_vec())),
    }
}

/// Whom each file of a crate needs.
fn needs(files: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let sources: BTreeMap<Parts, &Source> = files.iter().map(|file| (file.module.clone(), file)).collect();
    let modules: BTreeSet<Parts> = sources.keys().cloned().collect();
    let mut passed_on = BTreeMap::new();
    for file in files {
        for import in file.imports.iter().filter(|import| import.is_public) {
            if let Some(target) = place(&file.module, &import.parts, &modules) {
                passed_on.insert([&file.module[..], std::slice::from_ref(&import.name)].concat(), target);
            }
        }
    }
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        let used = file.imports.iter().filter(|import| !import.is_public || file.words.contains(&import.name));
        for parts in used.map(|import| &import.parts).chain(&file.paths) {
            let defined =
                place(&file.module, parts, &modules).and_then(|place| defined_in(&place, &sources, &passed_on, 0));
            let Some((module, item)) = defined.filter(|(module, _)| *module != file.module) else { continue };
            let is_above = file.module.starts_with(&module);
            let is_implemented = item.first().is_some_and(|name| file.implements.contains(name));
            if !(is_above && is_implemented) {
                needs.entry(&file.path).or_default().insert(&sources[&module].path);
            }
        }
    }
    needs
}

/// The shortest circle through a file, without the file at its end.
fn circle_through<'a>(start: &'a str, needs: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in needs.get(file).into_iter().flatten().copied() {
            if next == start {
                let mut circle = vec![file];
                while circle.last() != Some(&start) {
                    circle.push(before[circle[circle.len() - 1]]);
                }
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(next) {
                before.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

/// The shortest circle through each file that is in one, each once.
fn circles(files: &[Source]) -> BTreeSet<Vec<String>> {
    let mut needs = needs(files);
    for (one, other, _) in ALLOWED {
        needs.entry(other).and_modify(|needed| {
            needed.remove(one);
        });
    }
    let found = files.iter().filter_map(|file| circle_through(&file.path, &needs));
    let ordered = found.map(|mut circle| {
        let first = circle.iter().enumerate().min_by_key(|(_, file)| **file).map_or(0, |(at, _)| at);
        circle.rotate_left(first);
        circle.into_iter().map(str::to_owned).collect()
    });
    ordered.collect()
}

/// The place of a file of a crate whose code is in `folder`.
fn module_of(folder: &str, path: &str) -> Parts {
    let inside = path.strip_prefix(folder).unwrap().trim_start_matches('/').trim_end_matches(".rs");
    let mut parts: Parts = inside.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["lib", "main", "mod"].contains(&&last[..])) {
        parts.pop();
    }
    parts
}

/// A file *needs* another file of its crate when its code, tests left out, names an item that the other defines: in a `use` (one that only
/// passes a name on does not count) or in a path. `mod` is no need. Files of tests are left out.
///
/// One need does not count: a file below another one, such as `peer/ending.rs` below `peer.rs`, names a type of it for which it has an `impl`.
/// So the methods of a large type can stand in several files.
///
/// Files that need each other, also by way of others, are a circle. The way out is to move what both need to a file of its own, or to
/// where its subject is.
#[test]
fn files_of_a_crate_need_each_other_in_no_circle() {
    let mut folders = vec!["actors/src".to_owned(), "config/src".to_owned()];
    let members = std::fs::read_dir(root().join("src")).unwrap();
    folders.extend(members.map(|member| format!("src/{}/src", member.unwrap().file_name().to_string_lossy())));
    folders.sort();
    let mut found = Vec::new();
    let mut files_seen = 0;
    for folder in &folders {
        let files =
            rust_files(folder).into_iter().filter(|(path, _)| !is_test_file(path) && !path.ends_with("/main.rs"));
        let files: Vec<Source> =
            files.map(|(path, text)| source(path.clone(), module_of(folder, &path), &text)).collect();
        files_seen += files.len();
        found.extend(circles(&files).into_iter().map(|circle| circle.join("\n  needs ")));
    }
    assert!(found.is_empty(), "{} circles of files:\n{}", found.len(), found.join("\n"));
    assert!(files_seen > 300, "only {files_seen} files were read");
}

/// The circles of a crate with these files.
fn check(files: &[(&str, &str)], expected: &[&[&str]]) {
    let files: Vec<Source> =
        files.iter().map(|(path, text)| source((*path).into(), module_of("", path), text)).collect();
    let expected: BTreeSet<Vec<String>> =
        expected.iter().map(|circle| circle.iter().map(|file| (*file).to_owned()).collect()).collect();
    assert_eq!(circles(&files), expected);
}

#[test]
fn a_circle_is_found_through_uses_paths_and_names_that_are_passed_on() {
    check(
        &[("a.rs", "use crate::b::B;"), ("b.rs", "use crate::c::{self, C};"), ("c.rs", "fn c() { crate::a::a() }")],
        &[&["a.rs", "b.rs", "c.rs"]],
    );
    check(
        &[
            ("a.rs", "use crate::b::{B, inner::{C, D}};"),
            ("b.rs", "// use crate::a::A;\nconst TEXT: &str = \"crate::a::A\";"),
        ],
        &[],
    );
    check(
        &[("lib.rs", "mod a;\nmod b;\npub use a::A;"), ("a.rs", "use crate::b::B;"), ("b.rs", "use crate::A;")],
        &[&["a.rs", "b.rs"]],
    );
    check(&[("lib.rs", "mod a;\npub use a::A;"), ("a.rs", "pub(crate) struct A;")], &[]);
    check(
        &[("a.rs", "use crate::b::B;"), ("b.rs", "fn b() {}\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}")],
        &[],
    );
}

#[test]
fn a_file_below_another_may_name_the_type_whose_methods_it_holds() {
    let parent = "mod child;\nuse child::Part;\npub struct Whole { part: Part }\nconst LIMIT: u8 = 1;";
    check(
        &[
            ("whole.rs", parent),
            ("whole/child.rs", "use super::Whole;\npub struct Part;\nimpl Whole { fn part(&self) {} }"),
        ],
        &[],
    );
    let asks = "use super::{LIMIT, Whole};\npub struct Part;\nimpl Whole { fn part(&self) -> u8 { LIMIT } }";
    check(&[("whole.rs", parent), ("whole/child.rs", asks)], &[&["whole.rs", "whole/child.rs"]]);
}
