//! `hookbell test`: users' own tests of their configuration.

use crate::program::{EVERYTHING, Home};

#[test]
fn invalid_test_fails_and_the_others_run() {
    let home =
        Home::new(&EVERYTHING.replace("kind = \"bitbucket-cloud\"", "kind = \"bitbucket-cloud\"\nrepo = \"acme/*\""));
    let tests = r#"
[[tests]]
name = "fine"
sample = "push"
channels = ["screen"]
[[tests]]
name = "expects nothing"
sample = "push"
[[tests]]
name = "unknown names"
sample = "push"
channels = ["scren", "screen"]
muted = "nobody"
[[tests]]
name = "unknown sample"
sample = "psuh"
channels = []
[[tests]]
name = "unknown path"
sample = "push"
set = { "actor.knd" = "bot" }
channels = []
[[tests]]
name = "elsewhere"
sample = "push"
set = { "repository.full_name" = "other/api" }
channels = ["screen"]
"#;
    std::fs::write(home.path().join("mine.test.toml"), tests).unwrap();
    let (code, out, err) = home.run(&["test"]);
    let shown = out.replace(&format!("{}/", home.path().display()), "");
    insta::assert_snapshot!(format!("{shown}{err}exit {code}"));
}

#[test]
fn update_option_writes_expected_messages() {
    let home = Home::new(EVERYTHING);
    let path = home.path().join("mine.test.toml");
    // A push of two branches is two messages.
    let inline = "# Mine.\ntests = [{ sample = \"push.several_refs\", message = { screen = \"\" } }]\n";
    std::fs::write(&path, inline).unwrap();
    assert_eq!(home.run(&["test"]).0, 1);
    assert_eq!(home.run(&["test", "--update"]).0, 0);
    let updated = std::fs::read_to_string(&path).unwrap();
    insta::assert_snapshot!(updated);
    let (code, out, err) = home.run(&["test"]);
    assert_eq!(code, 0, "{out}{err}");
}
