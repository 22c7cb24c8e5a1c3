//! What is read off the configuration, without a run: what Fairlead refuses, routers that get no request, certificates that are no good.

use super::{Finding, Severity};
use crate::rehearse::{blueprint::Blueprint, plan::Texts};
use fairlead_core::config;

/// Each says of itself that it was read.
pub fn statics(blueprint: &Blueprint, texts: &Texts) -> Vec<Finding> {
    let read = |code: &str, subject: &str, what: String| Finding {
        code: code.into(),
        severity: Severity::Warning,
        seen: false,
        subject: subject.to_owned(),
        what,
        faults: Vec::new(),
        key: String::new(),
        place: String::new(),
        remedy: String::new(),
    };
    let rejected = blueprint.rejections.iter().filter(|rejection| rejection.severity == config::Severity::Error);
    let rejected = rejected.map(|rejection| Finding {
        severity: Severity::Error,
        key: rejection.key.clone(),
        place: rejection.source.clone(),
        remedy: rejection.remedy.clone(),
        ..read("rejected", &rejection.key, format!("Not served as written: {}.", rejection.message.trim_end_matches('.')))
    });
    let shadowed = blueprint.unexercised.iter().filter(|(_, why)| why.contains("takes first"));
    let shadowed = shadowed.map(|(router, why)| {
        let source = blueprint.snapshot.routers().find(|one| one.name.as_str() == router).map(|one| one.router.source.clone());
        Finding {
            place: source.unwrap_or_default(),
            remedy: "Give it a higher priority or a narrower rule, or take it out.".into(),
            ..read("shadowed", router, format!("No request was found that reaches this router: {why}."))
        }
    });
    let unusable = texts.unreadable.iter().map(|(name, why)| Finding {
        severity: Severity::Error,
        place: name.clone(),
        remedy: "Renew or replace it.".into(),
        ..read("certificate", name, format!("The certificate cannot be used: {why}."))
    });
    rejected.chain(shadowed).chain(unusable).collect()
}
