//! Answers of plugins that declare themselves pure, by the exact question: the same question at the same position of the feed has the same
//! answer, and nobody needs to ask again. Never by time, never by likeness.
//!
//! A memo belongs to one version of one plugin, so that what another version or another configuration answered is not in it. The position is
//! that of the feed which the answering instance had been told of: with the next change of what the plugin watches, all answers are gone.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

use crate::limits;

/// Locks for as many callers at once.
const SHARDS: usize = 8;

/// What was answered, by question.
pub(crate) struct Memo<A> {
    shards: [Mutex<Shard<A>>; SHARDS],
    hasher: RandomState,
}

/// Two generations: when the young one is full it becomes the old one, and what was not asked for meanwhile is gone.
struct Shard<A> {
    position: u64,
    young: HashMap<Box<[u8]>, A>,
    old: HashMap<Box<[u8]>, A>,
}

impl<A: Clone> Memo<A> {
    /// Of nothing yet.
    pub(crate) fn new() -> Self {
        let shard = |_| Mutex::new(Shard { position: 0, young: HashMap::new(), old: HashMap::new() });
        Self { shards: std::array::from_fn(shard), hasher: RandomState::new() }
    }

    fn shard(&self, question: &[u8]) -> &Mutex<Shard<A>> {
        &self.shards[self.hasher.hash_one(question) as usize % SHARDS]
    }

    /// The answer to this question at this position of the feed.
    pub(crate) fn get(&self, position: u64, question: &Question) -> Option<A> {
        let mut shard = self.shard(&question.0).lock();
        if !shard.is_at(position) {
            return None;
        }
        if let Some(answer) = shard.young.get(&*question.0) {
            return Some(answer.clone());
        }
        let (question, answer) = shard.old.remove_entry(&*question.0)?;
        shard.keep(question, answer.clone());
        Some(answer)
    }

    /// Remembers an answer that was given at this position.
    pub(crate) fn put(&self, position: u64, question: Question, answer: A) {
        if question.0.len() > limits::REMEMBERED_QUESTION_BYTES_MAX {
            return;
        }
        let mut shard = self.shard(&question.0).lock();
        if shard.is_at(position) {
            shard.keep(question.0.into(), answer);
        }
    }
}

impl<A> Shard<A> {
    /// Moves on to a later position. False: it is at a later one already.
    fn is_at(&mut self, position: u64) -> bool {
        if position > self.position {
            self.position = position;
            self.young.clear();
            self.old.clear();
        }
        position == self.position
    }

    fn keep(&mut self, question: Box<[u8]>, answer: A) {
        if self.young.len() >= limits::REMEMBERED_ANSWERS_MAX / SHARDS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, answer);
    }
}

/// All that a question consists of, as bytes: two questions are the same where they are equal. Lengths stand before what they are of, so that
/// no two different ones look alike.
pub(crate) struct Question(Vec<u8>);

impl Question {
    /// What a user wants to do.
    pub(crate) fn of_access(attributes: &auth::Attributes) -> Self {
        let auth::Attributes {
            user,
            verb,
            namespace,
            api_group,
            api_version,
            resource,
            subresource,
            name,
            resource_request,
            path,
            field_selector,
            label_selector,
            // The same question has the same answer for another request.
            asked_for: _,
        } = attributes;
        let mut question = Self(Vec::with_capacity(256));
        question.user(user);
        for text in [verb, namespace, api_group, api_version, resource, subresource, name, path] {
            question.text(text);
        }
        question.0.push(u8::from(*resource_request));
        for selector in [field_selector, label_selector] {
            question.count(selector.len());
            for auth::SelectorRequirement { key, operator, values } in selector {
                question.text(key);
                question.text(operator);
                question.texts(values);
            }
        }
        question
    }

    /// What somebody shows. A token stands here by its digest, as a memo outlives the request that showed it.
    pub(crate) fn of_credentials(credentials: &auth::Credentials) -> Self {
        let auth::Credentials { certificate, bearer_token, audiences, asked_for: _ } = credentials;
        let mut question = Self(Vec::with_capacity(256));
        question.count(certificate.iter().count());
        if let Some(certificate) = certificate {
            let auth::PeerCertificate { der: _, common_name, organizations, uid, sha256, chain_error } = &**certificate;
            // The digest stands for the DER.
            for text in [common_name, uid, sha256] {
                question.text(text);
            }
            question.texts(organizations);
            question.count(chain_error.iter().count());
            chain_error.iter().for_each(|error| question.text(error));
        }
        question.count(bearer_token.iter().count());
        if let Some(token) = bearer_token {
            question.0.extend_from_slice(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
        }
        question.texts(audiences);
        question
    }

    fn user(&mut self, user: &auth::UserInfo) {
        let auth::UserInfo { name, uid, groups, extra } = user;
        self.text(name);
        self.text(uid);
        self.texts(groups);
        self.count(extra.len());
        for (key, values) in extra {
            self.text(key);
            self.texts(values);
        }
    }

    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.count(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn question(text: &str) -> Question {
        Question(text.as_bytes().to_vec())
    }

    #[test]
    fn an_answer_is_of_its_question_and_its_position() {
        let memo = Memo::new();
        assert_eq!(memo.get(1, &question("a")), None);
        memo.put(1, question("a"), 7);
        assert_eq!((memo.get(1, &question("a")), memo.get(1, &question("b"))), (Some(7), None));
        // The feed moves on: an answer of before is none, and one that comes late is not taken.
        assert_eq!(memo.get(2, &question("a")), None);
        memo.put(1, question("a"), 7);
        assert_eq!((memo.get(2, &question("a")), memo.get(1, &question("a"))), (None, None));
        memo.put(2, question("a"), 8);
        assert_eq!(memo.get(2, &question("a")), Some(8));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_asked_for_stays() {
        let memo = Memo::new();
        memo.put(1, question("kept"), 0);
        for number in 0..10 * limits::REMEMBERED_ANSWERS_MAX {
            memo.put(1, question(&number.to_string()), number);
            assert_eq!(memo.get(1, &question("kept")), Some(0));
        }
        let held: usize = memo.shards.iter().map(|shard| shard.lock()).map(|shard| shard.young.len() + shard.old.len()).sum();
        assert!(held <= limits::REMEMBERED_ANSWERS_MAX, "{held}");
        let long = "x".repeat(limits::REMEMBERED_QUESTION_BYTES_MAX + 1);
        memo.put(1, question(&long), 1);
        assert_eq!(memo.get(1, &question(&long)), None);
    }

    #[test]
    fn each_part_of_a_question_counts() {
        let user = |name: &str, groups: &[&str]| {
            let groups = groups.iter().map(|&group| group.to_owned()).collect();
            Arc::new(auth::UserInfo { name: name.into(), groups, ..auth::UserInfo::default() })
        };
        let of_user = |user: auth::UserInfo| auth::Attributes { user: Arc::new(user), ..auth::Attributes::default() };
        let text = || "x".to_owned();
        let requirement = |operator: &str| vec![auth::SelectorRequirement { key: text(), operator: operator.into(), values: vec![text()] }];
        let base = auth::Attributes::default;
        let all = [
            base(),
            auth::Attributes { user: user("x", &[]), ..base() },
            auth::Attributes { user: user("", &["x"]), ..base() },
            auth::Attributes { user: user("", &["x", ""]), ..base() },
            auth::Attributes { user: user("", &["", "x"]), ..base() },
            of_user(auth::UserInfo { uid: text(), ..auth::UserInfo::default() }),
            of_user(auth::UserInfo { extra: [(text(), vec![])].into(), ..auth::UserInfo::default() }),
            auth::Attributes { verb: text(), ..base() },
            auth::Attributes { namespace: text(), ..base() },
            auth::Attributes { api_group: text(), ..base() },
            auth::Attributes { api_version: text(), ..base() },
            auth::Attributes { resource: text(), ..base() },
            auth::Attributes { subresource: text(), ..base() },
            auth::Attributes { name: text(), ..base() },
            auth::Attributes { path: text(), ..base() },
            auth::Attributes { resource_request: true, ..base() },
            auth::Attributes { field_selector: requirement("In"), ..base() },
            auth::Attributes { field_selector: requirement("NotIn"), ..base() },
            auth::Attributes { label_selector: requirement("In"), ..base() },
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                let same = Question::of_access(one).0 == Question::of_access(other).0;
                assert_eq!(same, at == other_at, "{one:?} {other:?}");
            }
        }
        let certificate = |change: fn(&mut auth::PeerCertificate)| {
            let mut certificate = auth::PeerCertificate {
                der: vec![],
                common_name: String::new(),
                organizations: vec![],
                uid: String::new(),
                sha256: String::new(),
                chain_error: None,
            };
            change(&mut certificate);
            auth::Credentials { certificate: Some(Arc::new(certificate)), ..auth::Credentials::default() }
        };
        let token = |token: &str| auth::Credentials { bearer_token: Some(token.into()), ..auth::Credentials::default() };
        let all = [
            auth::Credentials::default(),
            certificate(|_| {}),
            certificate(|it| it.common_name = "x".into()),
            certificate(|it| it.organizations = vec!["x".into()]),
            certificate(|it| it.uid = "x".into()),
            certificate(|it| it.sha256 = "x".into()),
            certificate(|it| it.chain_error = Some(String::new())),
            token(""),
            token("x"),
            auth::Credentials { audiences: vec!["x".into()], ..auth::Credentials::default() },
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                let same = Question::of_credentials(one).0 == Question::of_credentials(other).0;
                assert_eq!(same, at == other_at, "{one:?} {other:?}");
            }
        }
    }
}
