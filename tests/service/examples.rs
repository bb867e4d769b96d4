//! Examples in the README, the documents and the shipped configuration: every configuration loads, every recipe passes
//! its tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::program::Home;

/// The part of a configuration that examples leave out.
const SOURCE: &str = r#"
[sources.bitbucket]
kind = "bitbucket-cloud"
secret = { file = "bitbucket.secret", generate = true }
bots = ["renovate*"]
"#;

/// A certificate without a purpose.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBizCCATGgAwIBAgIUDNel+ZqkvLiZNSGX3mjXV3Np8gQwCgYIKoZIzj0EAwIw\n\
GjEYMBYGA1UEAwwPYSBjb21wYW55J3Mgb3duMCAXDTI2MTEyNDEzMjk1N1oYDzIx\n\
MjYxMDMxMTMyOTU3WjAaMRgwFgYDVQQDDA9hIGNvbXBhbnkncyBvd24wWTATBgcq\n\
hkjOPQIBBggqhkjOPQMBBwNCAARcwLsCWoDafXgwcogxXLHGTsCcwfzPkTVmKcKt\n\
VCtjTLfBnhDoNaBeiZjIcerlkndHEXy49fvhbt1jga/as4iao1MwUTAdBgNVHQ4E\n\
FgQU5jp0wtXA08NXZjL4wmOPAjecozAwHwYDVR0jBBgwFoAU5jp0wtXA08NXZjL4\n\
wmOPAjecozAwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAhdkZ\n\
8ocmptV47dd6wJkYla7uz+Cn28Kkw+tLepv3Q1gCIHpwsK57o2yfv/pr9cugSlJe\n\
Mkn8cwN5g+hbcoYieviS\n\
-----END CERTIFICATE-----\n\n";

/// A fenced block: its first line, the text of its fence, and its content.
struct Block {
    file: String,
    line: usize,
    fence: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the blocks of TOML in the README and the documents.
fn blocks() -> Vec<Block> {
    all_blocks().into_iter().filter(|block| block.fence == "toml").collect()
}

/// Returns all blocks of the README and the documents.
fn all_blocks() -> Vec<Block> {
    let documents = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = documents.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    files.push(root().join("README.md"));
    files.sort();
    let mut blocks = vec![];
    for path in files {
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        let mut open: Option<Block> = None;
        for (n, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            match &mut open {
                None if line.starts_with("```") => {
                    let fence = line.trim_start_matches('`').to_owned();
                    open = Some(Block { file: file.clone(), line: n + 1, fence, text: String::new() });
                }
                Some(_) if line == "```" => blocks.extend(open.take()),
                Some(block) => block.text.push_str(&format!("{line}\n")),
                None => {}
            }
        }
    }
    blocks
}

/// Completes an example with a source and the channels that it names.
fn completed(example: &str) -> String {
    let parsed: toml::Table = example.parse().unwrap();
    let named = |table: &toml::Value, key: &str| match table.get(key) {
        Some(toml::Value::Array(all)) => all.iter().filter_map(|name| name.as_str().map(ToOwned::to_owned)).collect(),
        Some(toml::Value::String(one)) => vec![one.clone()],
        _ => vec![],
    };
    let rules = |key: &str| parsed.get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let routed: BTreeSet<String> = rules("routes").iter().flat_map(|route| named(route, "to")).collect();
    let muted = rules("mutes").iter().flat_map(|mute| named(mute, "channels")).collect::<Vec<_>>();
    let alerted = parsed.get("delivery").map(|delivery| named(delivery, "alerts")).unwrap_or_default();
    let defined = parsed.get("channels").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let all: BTreeSet<String> = routed.iter().cloned().chain(muted).chain(alerted).collect();
    let mut whole = example.to_owned();
    if !parsed.contains_key("sources") {
        whole.push_str(SOURCE);
    }
    for name in all.iter().filter(|name| !defined.contains_key(*name)) {
        whole.push_str(&format!("\n[channels.{name}]\nkind = \"console\"\n"));
    }
    // A channel without a route causes a warning.
    for name in all.iter().chain(defined.keys()).filter(|name| !routed.contains(*name)).collect::<BTreeSet<_>>() {
        whole.push_str(&format!("\n[[routes]]\nname = \"to {name}\"\nevent = \"@all\"\nto = \"{name}\"\n"));
    }
    whole
}

/// Checks that `check` finds no problem in a configuration whose secrets exist.
fn assert_fine(config: &str, of: &str) -> Home {
    let home = Home::new(config);
    std::fs::create_dir_all(home.path().join("routes.d")).unwrap();
    std::fs::write(home.path().join("routes.d/none.toml"), "").unwrap();
    let named = |pattern: &str| -> Vec<String> {
        let pattern = regex::Regex::new(pattern).unwrap();
        pattern.captures_iter(config).map(|found| found[1].to_owned()).collect()
    };
    for directory in named(r#"templates = "([^"]+)""#) {
        std::fs::create_dir_all(home.path().join(directory)).unwrap();
    }
    std::fs::write(home.path().join("company-ca.pem"), CERTIFICATE).unwrap();
    crate::tls::write_signed_certificate(home.path());
    let mut command = home.command(&["check", "--deny-warnings"]);
    for variable in named(r#"env = "([A-Z_]+)""#) {
        let value =
            if variable.contains("TOKEN") { "xoxb-1-example" } else { "https://hooks.slack.com/services/T0/B0/x" };
        command.env(variable, value);
    }
    for file in named(r#"file = "([^"]+)" *\}"#) {
        use std::os::unix::fs::PermissionsExt;
        let path = home.path().join(file);
        std::fs::write(&path, "https://hooks.slack.com/services/T0/B0/x").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{of}:\n{config}\n{}", String::from_utf8_lossy(&output.stderr));
    home
}

#[test]
fn every_documented_configuration_is_valid() {
    let shown: Vec<_> = blocks().into_iter().filter(|block| !block.text.contains("[[tests]]")).collect();
    assert!(shown.len() > 15, "{}", shown.len());
    for block in shown {
        assert_fine(&completed(&block.text), &format!("{}:{}", block.file, block.line));
    }
}

#[test]
fn every_recipe_passes_its_tests() {
    let blocks = blocks();
    let mut recipes = 0;
    for pair in blocks.windows(2).filter(|pair| pair[0].file == "docs/routing.md") {
        let [config, tests] = pair else { continue };
        let is_recipe = !config.text.contains("[[tests]]") && tests.text.contains("[[tests]]");
        if !is_recipe {
            continue;
        }
        let home = Home::new(&completed(&config.text));
        std::fs::write(home.path().join("recipe.test.toml"), &tests.text).unwrap();
        let (code, out, err) = home.run(&["test"]);
        // The page's example of tests belongs to no recipe.
        if !tests.text.starts_with("[[tests]]\nname = \"reviews of the API") {
            assert_eq!(code, 0, "docs/routing.md:{}\n{out}{err}", config.line);
            recipes += 1;
        }
    }
    assert_eq!(recipes, 9);
}

/// Each commented line of the shipped configuration can be used unchanged.
#[test]
fn commented_examples_of_the_shipped_configuration_are_valid() {
    let shipped = std::fs::read_to_string(root().join("config.toml")).unwrap();
    let lines: Vec<&str> = shipped.lines().collect();
    let code = regex::Regex::new(r"^# ?(\[\[?[a-z]|[a-z_]+ = )").unwrap();
    let is_code = |line: &str| code.is_match(line);
    let mut at = 0;
    let mut tried = 0;
    while at < lines.len() {
        if !is_code(lines[at]) {
            at += 1;
            continue;
        }
        // A table is used with its keys; a single key replaces the one in use.
        let is_table = lines[at].trim_start_matches(['#', ' ']).starts_with('[');
        let end = if is_table {
            (at..lines.len()).find(|n| !is_code(lines[*n]) && lines[*n] != "#").unwrap_or(lines.len())
        } else {
            at + 1
        };
        let uncommented = |line: &str| line.trim_start_matches('#').strip_prefix(' ').unwrap_or("").to_owned();
        let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        let used: Vec<String> = (at..end).map(|n| uncommented(lines[n])).collect();
        let replaced = |n: usize| {
            let from = (0..at).rev().find(|n| lines[*n].starts_with('[')).unwrap_or(0);
            let to = (at..lines.len()).find(|n| lines[*n].starts_with('[')).unwrap_or(lines.len());
            let excludes = ["secret", "unsigned"];
            let other = key(lines[n]);
            !is_table
                && (from..to).contains(&n)
                && (other == key(&used[0])
                    || excludes.contains(&other.as_str()) && excludes.contains(&key(&used[0]).as_str()))
        };
        let rest = (0..lines.len()).filter(|n| !(at..end).contains(n) && !replaced(*n));
        let mut text: Vec<String> = rest.clone().filter(|n| *n < at).map(|n| lines[n].to_owned()).collect();
        text.extend(used.iter().cloned());
        text.extend(rest.filter(|n| *n >= end).map(|n| lines[n].to_owned()));
        let text = text.join("\n");
        // `unsigned` is a warning on purpose.
        if !used[0].starts_with("unsigned") {
            assert_fine(&completed(&text), &format!("config.toml:{}", at + 1));
        }
        tried += 1;
        at = end;
    }
    assert!(tried > 8, "{tried}");
}

/// The block of a template names its file; the next block is the terminal's output for the sample that it names.
#[test]
fn every_documented_template_renders_as_shown() {
    let (mut templates, mut texts) = (0, 0);
    let config = format!("templates = \"mine\"\n{}", crate::program::EVERYTHING);
    let mut home = Home::new(&config);
    for block in all_blocks() {
        let (sort, name) = block.fence.split_once(' ').unwrap_or((&block.fence, ""));
        let place = format!("{}:{}", block.file, block.line);
        match (sort, name) {
            ("handlebars" | "jsonc", "") => assert_eq!(block.file, "README.md", "{place}: which file is it?"),
            ("handlebars" | "jsonc", name) => {
                // A partial is tested with the template after it.
                if !std::fs::exists(home.path().join("mine/partials")).unwrap() {
                    home = Home::new(&config);
                }
                let path = home.path().join("mine").join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, &block.text).unwrap();
                let (code, _, err) = home.run(&["check", "--deny-warnings"]);
                assert!(code == 0 || name.starts_with("partials/"), "{place}: {err}");
                templates += 1;
            }
            ("text", sample) if !sample.is_empty() => {
                let (_, shown, err) = home.run(&["render", sample, "--chat", "console"]);
                assert_eq!((shown.trim_end(), err.as_str()), (block.text.trim_end(), ""), "{place}");
                texts += 1;
                home = Home::new(&config);
            }
            _ => {}
        }
    }
    assert!(templates >= 7 && texts >= 5, "{templates} {texts}");
}
