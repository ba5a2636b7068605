//! `nexus explain`: which limit holds for a caller, rule by rule. Text for people; the last line is the answer.

use actors::{Group, identity::Rules};

use super::{Config, Model, Provider, limits::walk};

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The client id; limits do not depend on it, buckets do.
    pub client: String,
    /// Its group, if it names one.
    pub group: Option<String>,
    /// `provider/model`, as a client asks for it.
    pub model: String,
    /// The estimate of a call, to see whether it fits.
    pub tokens: Option<u64>,
}

/// The walk, one line a rule, then `applies: …`.
///
/// # Errors
/// Why there is no answer: no such model, or the caller would not be let in.
pub fn explain(config: &Config, question: &Question) -> Result<String, String> {
    let (provider, model) = find(config, &question.model)?;
    let asked = question.group.as_deref().or_else(|| group_of_key(config, &question.client));
    let group = caller(config, asked)?;
    let mut out = format!("client `{}`, {}\n", question.client, in_group(group.as_ref()));
    out += &format!("model `{}/{}`, sent upstream as `{}`\n", provider.name, model.name, model.upstream_name);
    if let (None, Some(group)) = (&question.group, &group) {
        out += &format!("group `{group}` is that of its API key\n");
    }
    if let (Some(asked), None) = (asked, &group) {
        out += &format!("group `{asked}` is not read: `group_id` is not set\n");
    }
    if !admitted(model, group.as_ref()) {
        out += "access: refused (403): the model's `allow` and `deny` leave this caller out\n";
    }
    let steps = walk(&model.limits, &provider.limits, group.as_ref());
    let winner = steps.iter().position(|step| step.amount.is_some());
    for (index, step) in steps.iter().enumerate() {
        let found = match step.amount {
            None => "not set".to_owned(),
            Some(amount) if Some(index) == winner => {
                format!("{} input tokens per {}", amount.tokens, amount.written)
            }
            Some(_) => "not looked at: a nearer table applies".to_owned(),
        };
        out += &format!("  {}. {}: {found}\n", index + 1, step.path);
    }
    let Some((step, amount)) = winner.and_then(|at| Some((&steps[at], steps[at].amount?))) else {
        return Ok(out + "applies: nothing");
    };
    let owner =
        if step.of_model { "of this model" } else { "shared by the models of this provider that fall to it" };
    out += &format!("bucket: one for client `{}`, {owner}\n", question.client);
    if let Some(tokens) = question.tokens {
        let fits = if tokens > amount.tokens {
            "is larger than the limit: always refused"
        } else {
            "fits into an empty window"
        };
        out += &format!("a call of {tokens} input tokens {fits}\n");
    }
    Ok(out + &format!("applies: {} = {} input tokens per {}", step.path, amount.tokens, amount.written))
}

fn find<'a>(config: &'a Config, id: &str) -> Result<(&'a Provider, &'a Model), String> {
    let (provider, model) = id.split_once('/').unwrap_or((id, ""));
    let found = config.providers.iter().find(|known| *known.name == *provider);
    let found = found.and_then(|p| Some((p, p.models.iter().find(|known| *known.name == *model)?)));
    found.ok_or_else(|| {
        let known =
            config.providers.iter().flat_map(|p| p.models.iter().map(|m| format!("{}/{}", p.name, m.name)));
        format!("model `{id}` is not configured; configured: {}", known.collect::<Vec<_>>().join(", "))
    })
}

/// The group of the keys of a client, where they agree on one.
fn group_of_key<'a>(config: &'a Config, client: &str) -> Option<&'a str> {
    let keys = config.identification.iter().flat_map(|rules| &rules.api_keys);
    let mut groups = keys.filter(|key| key.client.as_str() == client).map(|key| key.group.as_ref());
    let first = groups.next()??;
    groups.all(|group| group == Some(first)).then_some(first.as_str())
}

/// The group the question is about, as identification would see it.
fn caller(config: &Config, asked: Option<&str>) -> Result<Option<Group>, String> {
    let named =
        |rules: &&Rules| rules.group.is_some() || rules.api_keys.iter().any(|key| key.group.is_some());
    let Some(rules) = config.identification.as_ref().filter(named) else {
        return Ok(None); // a group that is presented is not read
    };
    let listed = || rules.groups.iter().map(Group::as_str).collect::<Vec<_>>().join(", ");
    match asked {
        None if rules.require_group => Err(format!(
            "a group is required: such a call is refused with 400; add --group, one of: {}",
            listed()
        )),
        Some(name) if !rules.groups.is_empty() && !rules.groups.contains(&Group::new(name)) => Err(format!(
            "group `{name}` is not in group_values: such a call is refused with 400; listed: {}",
            listed()
        )),
        group => Ok(group.map(Group::new)),
    }
}

fn in_group(group: Option<&Group>) -> String {
    group.map_or_else(|| "no group".to_owned(), |group| format!("group `{group}`"))
}

fn admitted(model: &Model, group: Option<&Group>) -> bool {
    match group {
        Some(group) => {
            !model.deny.contains(group) && model.allow.as_ref().is_none_or(|allow| allow.contains(group))
        }
        None => model.allow.is_none(),
    }
}
