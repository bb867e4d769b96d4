//! Builds, and the branches and pull requests that they belong to.

use super::*;

#[test]
fn build_that_passes_after_failures_is_fixed() {
    let mut host = Host::new();
    let mut state = |state: &str, number| {
        let (event, suppressed) = host.take(STATUS, &build(state, number, |_| {}));
        (event.kind.as_str(), event.build.unwrap().failures, suppressed.is_some())
    };
    assert_eq!(state("SUCCESSFUL", 1), ("build.succeeded", None, false));
    assert_eq!(state("FAILED", 2), ("build.failed", Some(1), false));
    assert_eq!(state("FAILED", 3), ("build.failed", Some(2), false));
    assert_eq!(state("STOPPED", 4), ("build.stopped", None, false));
    assert_eq!(state("SUCCESSFUL", 5), ("build.fixed", Some(2), false));
    assert_eq!(state("SUCCESSFUL", 6), ("build.succeeded", None, false));
}

#[test]
fn late_build_of_an_older_commit_does_not_change_the_branch() {
    let ended = |minute: u32| {
        move |status: &mut Value| status["updated_on"] = format!("2026-11-20T11:{minute:02}:00.000000+00:00").into()
    };
    let mut host = Host::new();
    let mut state = |state: &str, number, minute| {
        let (event, _) = host.take(STATUS, &build(state, number, ended(minute)));
        (event.kind.as_str(), event.build.unwrap().failures)
    };
    assert_eq!(state("FAILED", 2, 5), ("build.failed", Some(1)));
    assert_eq!(state("SUCCESSFUL", 1, 6), ("build.succeeded", None), "it started before the run that failed");
    assert_eq!(state("SUCCESSFUL", 4, 12), ("build.fixed", Some(1)));
    assert_eq!(state("FAILED", 3, 13), ("build.failed", None), "a newer run has passed");
    assert_eq!(state("SUCCESSFUL", 5, 14), ("build.succeeded", None));
}

#[test]
fn build_name_does_not_repeat_its_branch() {
    let mut host = Host::new();
    let name = |host: &mut Host, change: &dyn Fn(&mut Value)| {
        host.take(STATUS, &build("FAILED", 1, change)).0.build.unwrap().name.unwrap()
    };
    assert_eq!(name(&mut host, &|_| {}), "Pipeline #1");
    assert_eq!(
        name(&mut host, &|status| status["refname"] = Value::Null),
        "Pipeline #1 for main",
        "the branch is not known"
    );
    assert_eq!(name(&mut host, &|status| status["name"] = " for main".into()), " for main");
    // A branch of a fork is never a branch of this repository, even with the same name.
    let mut host = Host::new();
    host.send("pull_request.opened.fork", |body| body["pullrequest"]["source"]["branch"]["name"] = "main".into());
    let (_, opened) = host.sample("pull_request.opened.fork");
    let of_fork = build("FAILED", 1, |status| {
        status["refname"] = Value::Null;
        status["commit"]["hash"] = opened["pullrequest"]["source"]["commit"]["hash"].clone();
    });
    assert_eq!(host.take(STATUS, &of_fork).0.build.unwrap().branch, None);
}

#[test]
fn failures_of_other_branches_and_builds_do_not_count() {
    let mut host = Host::new();
    host.take(STATUS, &build("FAILED", 1, |status| status["refname"] = "feature/x".into()));
    host.take(STATUS, &build("FAILED", 2, |status| status["key"] = "unit-tests".into()));
    assert_eq!(host.take(STATUS, &build("SUCCESSFUL", 3, |_| {})).0.kind, Kind::BuildSucceeded);
    // If the branch is unknown, only the failures of the same commit count.
    let nowhere = |status: &mut Value| status["refname"] = Value::Null;
    host.take(STATUS, &build("FAILED", 4, nowhere));
    assert_eq!(host.take(STATUS, &build("SUCCESSFUL", 5, nowhere)).0.kind, Kind::BuildSucceeded);
    let again = |status: &mut Value| {
        nowhere(status);
        status["updated_on"] = "2026-11-20T12:00:00.000000+00:00".into();
    };
    assert_eq!(host.take(STATUS, &build("SUCCESSFUL", 4, again)).0.kind, Kind::BuildFixed);
}

#[test]
fn build_states_are_posted_once_and_in_order() {
    let mut host = Host::new();
    let running = build("INPROGRESS", 1, |_| {});
    let later = build("INPROGRESS", 1, |status| {
        status["description"] = "step 2 of 3".into();
        status["updated_on"] = "2026-11-20T10:02:00.000000+00:00".into();
    });
    let failed = build("FAILED", 1, |status| status["updated_on"] = "2026-11-20T10:05:00.000000+00:00".into());
    assert_eq!(host.take(STATUS, &running).1, None);
    assert!(host.take(STATUS, &later).1.is_some(), "it is still running");
    assert_eq!(host.take(STATUS, &failed).1, None);
    assert!(host.take(STATUS, &failed).1.is_some(), "the same again");
    assert!(host.take(STATUS, &running).1.is_some(), "it has already failed");
    let again = build("FAILED", 1, |status| {
        status["url"] = "https://ci.example/2".into();
        status["updated_on"] = "2026-11-20T10:09:00.000000+00:00".into();
    });
    assert_eq!(host.take(STATUS, &again).0.build.unwrap().failures, Some(2), "another run that failed");
}

#[test]
fn build_branch_comes_from_the_push_or_pull_request_of_its_commit() {
    let branch = |host: &mut Host, hash: &Value| {
        let hash = hash.clone();
        let body = build("FAILED", 1, |status| {
            status["refname"] = Value::Null;
            status["commit"]["hash"] = hash;
        });
        host.take(STATUS, &body).0.build.unwrap().branch
    };
    let mut host = Host::new();
    let (_, pushed) = host.sample("push");
    let commits = &pushed["push"]["changes"][0]["commits"];
    assert_eq!(branch(&mut host, &commits[0]["hash"]), None, "nothing is known");
    host.send("push", |_| {});
    assert_eq!(branch(&mut host, &commits[0]["hash"]).as_deref(), Some("main"));
    assert_eq!(branch(&mut host, &commits[1]["hash"]), None, "only tips are known");
    // The tip of a new branch stays on its branch.
    host.send("branch.created", |body| {
        body["push"]["changes"][0]["new"]["target"]["hash"] = commits[0]["hash"].clone();
    });
    assert_eq!(branch(&mut host, &commits[0]["hash"]).as_deref(), Some("main"));
    let (_, opened) = host.sample("pull_request.opened");
    host.send("pull_request.opened", |_| {});
    let tip = &opened["pullrequest"]["source"]["commit"]["hash"];
    assert_eq!(branch(&mut host, tip).as_deref(), Some("feature/limits"));
}

#[test]
fn build_memory_is_bounded() {
    let mut host = Host::new();
    for n in 0..300 {
        host.take(STATUS, &build("FAILED", n, |status| status["refname"] = format!("b{n}").into()));
    }
    let largest = host.memory.values().map(|state| state.to_string().len()).max().unwrap();
    assert!(largest < 32 * 1024, "{largest} bytes");
}

#[test]
fn duration_of_a_repeated_build_is_that_of_its_last_run() {
    let mut host = Host::new();
    let ended = |host: &mut Host, state: &str, at: &str| {
        let set = |body: &mut Value| {
            let status = &mut body["commit_status"];
            (status["state"], status["updated_on"]) = (state.into(), at.into());
        };
        host.send("build.failed", set).0.build.unwrap().duration
    };
    assert_eq!(ended(&mut host, "FAILED", "2026-11-20T14:17:00+00:00").as_deref(), Some("7 min 57 s"));
    assert_eq!(ended(&mut host, "INPROGRESS", "2026-11-21T14:00:00+00:00"), None);
    assert_eq!(ended(&mut host, "SUCCESSFUL", "2026-11-21T14:02:00+00:00").as_deref(), Some("2 min 0 s"));
    assert_eq!(ended(&mut host, "FAILED", "2026-11-22T14:02:00+00:00"), None, "its start is not known");
}

#[test]
fn build_links_its_branch_and_its_pull_request() {
    let mut host = Host::new();
    let links = |host: &mut Host| {
        let build = host.send("build.failed", |_| {}).0.build.unwrap();
        (build.branch_url, build.pull_request, build.pull_request_url)
    };
    assert_eq!(links(&mut host), (None, None, None));
    host.send("push", |_| {});
    let branch = Some("https://bitbucket.org/acme/api/branch/main".to_owned());
    assert_eq!(links(&mut host), (branch.clone(), None, None));
    host.send("pull_request.opened", |body| {
        body["pullrequest"]["source"]["commit"]["hash"] = "4eb2224d67de".into();
    });
    let page = Some("https://bitbucket.org/acme/api/pull-requests/482".to_owned());
    assert_eq!(links(&mut host), (branch, Some(482), page));
}
