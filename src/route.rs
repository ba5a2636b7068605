//! From a model's public id to the one target that serves it. Built once from the configuration; only names in it exist.

pub mod ratio;

use std::{collections::HashMap, sync::Arc};

use actors::{
    Group, Principal,
    quota::{AccountId, Price, Rules},
};
use bytes::Bytes;
use http::HeaderName;
use smallvec::SmallVec;

use self::ratio::Ratio;
use crate::{
    config::{
        self, Charging,
        budget::{Budget, Budgets},
        secret::{Secret, Secrets},
    },
    error::Caller,
    upstream::headers::HeaderRules,
};

/// Every model of the configuration.
#[derive(Debug)]
pub struct Routes {
    by_id: HashMap<String, Arc<Target>>,
    /// Sorted by provider, then model.
    listed: Vec<Arc<Target>>,
    providers: Vec<Arc<str>>,
}

/// One model: who serves it, under which name, for whom, within which limits.
#[derive(Debug)]
pub struct Target {
    /// `provider/model`.
    pub id: String,
    /// The public id as a JSON string, as it is put into answers.
    pub id_json: Bytes,
    /// The name sent upstream.
    pub upstream_name: Arc<str>,
    /// The provider's name.
    pub provider: Arc<str>,
    /// Its place in the configuration's list.
    pub provider_index: usize,
    /// The model's name within the provider, for logs and metrics.
    pub model: Arc<str>,
    /// Its place among all models, for metrics.
    pub index: usize,
    /// What becomes of a caller's headers on their way to the provider; `None` = only what passes by default.
    pub headers: Option<HeaderRules>,
    /// The length of an answer where the provider demands one and the client gave none, in tokens.
    pub max_tokens: u64,
    /// Whether usage is asked for in streams whose caller did not.
    pub stream_usage: bool,
    /// Whether chat completions call the length of an answer `max_completion_tokens`, not `max_tokens`.
    pub max_completion_tokens: bool,
    /// Whether chat completions may hold `reasoning_details`.
    pub reasoning_details: bool,
    /// What no text of the provider may tell a caller: its key, and what header rules send it.
    pub secrets: Secrets,
    /// What its tokens cost; nothing, where no price is known (then money is not limited).
    pub price: Price,
    /// How its calls are charged.
    pub charging: Charging,
    /// How far our counts are from its own.
    pub ratio: Arc<Ratio>,
    /// The secrets of every provider: what no error may tell. One set for all targets.
    pub configured: Secrets,
    access: Access,
    budgets: Budgets,
}

/// Accounts with the rules that hold in them, as a [`Demand`](actors::quota::Demand) wants them.
pub type Accounts<'a> = SmallVec<[(AccountId, &'a Rules); 3]>;

#[derive(Debug)]
struct Access {
    allow: Option<std::collections::BTreeSet<Group>>,
    deny: std::collections::BTreeSet<Group>,
}

impl Routes {
    /// The routes of the providers, which are sorted by name as their models are.
    pub fn new(config: &config::Config) -> Self {
        Self::after(config, None)
    }

    /// The same, in place of others: what was learned of a model that stays is still known.
    pub fn after(config: &config::Config, before: Option<&Self>) -> Self {
        let (providers, ours) = (&config.providers, config.own_headers());
        let pairs = providers.iter().enumerate().flat_map(|(at, p)| p.models.iter().map(move |m| (at, p, m)));
        let configured =
            Secrets::new(providers.iter().flat_map(|p| p.models.iter().flat_map(|m| secrets(p, m))));
        let listed: Vec<_> = pairs
            .enumerate()
            .map(|(index, (at, p, m))| {
                let shared = (config.charging.clone(), configured.clone());
                let mut target = Target::new((index, at), (p, m), &ours, shared);
                if let Some(known) = before.and_then(|before| before.by_id.get(&target.id)) {
                    target.ratio = Arc::clone(&known.ratio);
                }
                Arc::new(target)
            })
            .collect();
        let by_id = listed.iter().map(|target| (target.id.clone(), Arc::clone(target))).collect();
        Self { by_id, listed, providers: providers.iter().map(|p| Arc::clone(&p.name)).collect() }
    }

    /// The target of a public id, which is split at its first `/`.
    ///
    /// # Errors
    /// Says which part of the id is wrong, or that the caller's group may not use it.
    pub fn find(&self, id: &str, caller: &Principal) -> Result<&Arc<Target>, Caller> {
        let target = self.by_id.get(id).ok_or_else(|| self.why_not(id))?;
        if target.is_open_to(caller) { Ok(target) } else { Err(Caller::Forbidden(id.to_owned())) }
    }

    /// The models the caller may use, in order.
    pub fn open_to<'a>(&'a self, caller: &'a Principal) -> impl Iterator<Item = &'a Arc<Target>> {
        self.listed.iter().filter(move |target| target.is_open_to(caller))
    }

    /// Every target, in order of [`Target::index`].
    pub fn all(&self) -> &[Arc<Target>] {
        &self.listed
    }

    fn why_not(&self, id: &str) -> Caller {
        match id.split_once('/') {
            None => Caller::ModelFormat(id.to_owned()),
            Some((provider, _)) if self.providers.iter().any(|p| **p == *provider) => {
                Caller::NoModel(id.to_owned())
            }
            Some((provider, _)) => Caller::NoProvider(provider.to_owned()),
        }
    }
}

impl Target {
    fn new(
        (index, provider_index): (usize, usize),
        (provider, model): (&config::Provider, &config::Model),
        ours: &[HeaderName],
        (charging, configured): (Charging, Secrets),
    ) -> Self {
        let id = format!("{}/{}", provider.name, model.name);
        Self {
            id_json: json_string(&id),
            upstream_name: Arc::clone(&model.upstream_name),
            id,
            provider: Arc::clone(&provider.name),
            provider_index,
            model: Arc::clone(&model.name),
            index,
            max_tokens: model.max_tokens,
            stream_usage: provider.kind.stream_usage(),
            max_completion_tokens: provider.kind.max_completion_tokens(),
            reasoning_details: provider.kind.reasoning_details(),
            headers: HeaderRules::new(&provider.headers, &model.headers, ours),
            secrets: Secrets::new(secrets(provider, model)),
            configured,
            access: Access { allow: model.allow.clone(), deny: model.deny.clone() },
            price: model.price.unwrap_or_default(),
            charging,
            ratio: Arc::default(),
            budgets: model.budgets.clone(),
        }
    }

    /// What holds for this caller: resolved when the configuration was read.
    pub fn budget(&self, caller: &Principal) -> &Budget {
        self.budgets.of(caller.group.as_ref())
    }

    /// Whose limits a call of this caller falls under, in the order in which they are asked: the client's own, its
    /// group's pool, that of all callers. Whoever has no name has no limits of its own.
    pub fn accounts(&self, caller: &Principal) -> Accounts<'_> {
        let budget = self.budget(caller);
        let client = budget.per_user.as_ref().zip(caller.client.as_ref());
        let pool = budget.per_group.as_ref().zip(caller.group.as_ref());
        let all = [
            client.map(|(own, client)| (AccountId::Client(client.clone()), &own.rules)),
            pool.map(|(pool, group)| (AccountId::Pool(pool.scope, group.clone()), &pool.rules)),
            budget.total.as_ref().map(|total| (AccountId::Total(total.scope), &total.rules)),
        ];
        all.into_iter().flatten().collect()
    }

    fn is_open_to(&self, caller: &Principal) -> bool {
        let group = caller.group.as_ref();
        let allowed = self.access.allow.as_ref().is_none_or(|allow| group.is_some_and(|g| allow.contains(g)));
        allowed && !group.is_some_and(|g| self.access.deny.contains(g))
    }
}

fn secrets<'a>(provider: &'a config::Provider, model: &'a config::Model) -> impl Iterator<Item = &'a Secret> {
    provider.kind.secrets().chain(&provider.header_secrets).chain(&model.header_secrets)
}

fn json_string(text: &str) -> Bytes {
    // A string always serialises.
    serde_json::to_vec(text).unwrap_or_default().into()
}
