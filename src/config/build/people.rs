//! `[people.NAME]`: the mapping from accounts on the code host to chat accounts.

use crate::chat::kinds;
use crate::config::problems::ConfigProblem;
use crate::config::section::Section;
use crate::message::{People, Person};
use crate::source::providers;

/// Reads the mapping and records problems.
pub(super) fn people(root: &mut Section<'_>) -> People {
    let chats = || kinds().iter().filter_map(|kind| Some((kind.name(), kind.members()?)));
    let people = root.named("people").into_iter().map(|(name, mut section)| {
        if chats().all(|(chat, _)| section.peek(chat).is_none()) {
            let chats = chats().map(|(chat, _)| chat).collect();
            section.note(&ConfigProblem::NoChatId { name: name.clone(), chats }, section.place());
        }
        let mut ids = vec![];
        for (chat, members) in chats() {
            let Some(taken) = section.string(chat) else { continue };
            if (members.is_id)(&taken.value) {
                ids.push((chat, taken.value));
            } else {
                let (value, chat, help) = (taken.value, members.title, members.help);
                section.note(&ConfigProblem::InvalidChatId { value, chat, help }, taken.place);
            }
        }
        section.finish();
        (name, Person::from_iter(ids))
    });
    let people: Vec<_> = people.collect();
    People::new(people, |text| providers().iter().any(|provider| (provider.is_account_id)(text)))
}
