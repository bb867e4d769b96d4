//! Links and commands in the README and the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::Home;

/// Returns the pages: their paths within the project, and their texts.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directories = [root.to_owned(), root.join("docs")];
    let files = directories.iter().flat_map(|directory| std::fs::read_dir(directory).unwrap());
    let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "md"));
    files.map(|path| (path.strip_prefix(root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// Returns the text outside of code blocks.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// Returns the anchors of a page's headings, as GitHub and Bitbucket name them.
fn anchors(page: &str) -> BTreeSet<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let mut anchors = BTreeSet::new();
    for heading in headings {
        // A link in a heading counts as its text.
        let heading = heading.split("](").next().unwrap().replace('[', "");
        let kept = heading.to_lowercase().replace(' ', "-");
        let anchor: String = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        let again = (1..).map(|n| format!("{anchor}-{n}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|anchor| !anchors.contains(anchor));
        anchors.insert(free.unwrap());
    }
    anchors
}

#[test]
fn links_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (pages, mut checked) = (pages(), 0);
    for (path, page) in &pages {
        let text = prose(page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let target = target.components().fold(PathBuf::new(), |mut built, part| {
                if part.as_os_str() == ".." {
                    built.pop();
                } else {
                    built.push(part);
                }
                built
            });
            assert!(root.join(&target).exists(), "{}: {link}: no such file", path.display());
            if !anchor.is_empty() {
                let known = anchors(&pages[&target]);
                assert!(known.contains(anchor), "{}: {link}: no such heading; {known:?}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} links");
}

/// Returns the commands of a page: in shell blocks, and in the text.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines = blocks.flat_map(str::lines).map(ToOwned::to_owned);
    let text = prose(page).replace('\n', " ");
    let inline: Vec<_> = text.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
    let all = lines.chain(inline).filter_map(|line| {
        let line = line.strip_prefix("cargo run -- ").map_or(line.clone(), |rest| format!("hookbell {rest}"));
        let ends = [" #", " | ", " > ", " && "];
        let end = ends.iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
        let command = line[..end].trim();
        // Alternatives, and lists of them, are not commands.
        let is_command =
            command.starts_with("hookbell ") && command != "hookbell help" && !command.contains(['|', '…', '[']);
        is_command.then(|| command.to_owned())
    });
    all.collect()
}

#[test]
fn commands_have_the_arguments_of_the_program() {
    let (home, mut seen) = (Home::empty(), BTreeSet::new());
    for (path, page) in pages() {
        // The changelog names former commands.
        if path.ends_with("CHANGELOG.md") {
            continue;
        }
        for command in commands(&page) {
            if !seen.insert(command.clone()) {
                continue;
            }
            // Help comes after all arguments have been read: a wrong one is an error before it.
            let line = command.replacen("hookbell", "\"$0\"", 1) + " --help";
            let mut shell = Command::new("sh");
            shell.args(["-c", &line, env!("CARGO_BIN_EXE_hookbell")]).current_dir(home.path());
            let output = shell.output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {command}: {error}", path.display());
        }
    }
    assert!(seen.len() > 40, "only {} commands", seen.len());
}
