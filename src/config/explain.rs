//! `nexus explain`: which limits hold for a caller, rule by rule. Text for people; the last line is the answer.

use actors::{
    Group,
    identity::Rules,
    quota::{Kind, Mode},
};

use super::{
    Config, Model, Provider,
    limits::{Amount, Amounts, Family, Step, walk},
};

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

/// The answer.
#[derive(Debug)]
pub struct Explanation<'a> {
    question: &'a Question,
    provider: &'a Provider,
    model: &'a Model,
    /// The group that was named, here or with the client's API key.
    asked: Option<&'a str>,
    /// The group as it is seen.
    pub group: Option<Group>,
    /// Whether the caller may use the model.
    pub is_open: bool,
    /// Which tables were looked at.
    pub walked: Vec<Walked<'a>>,
}

/// The walk of one family.
#[derive(Debug)]
pub struct Walked<'a> {
    /// Whose limits.
    pub family: Family,
    /// Every table that was looked for, nearest first.
    pub steps: Vec<Step<'a>>,
    /// Which of them applies: the first that exists.
    pub winner: Option<usize>,
}

/// The walk, one line a table, then each limit that applies, the one on the client's own input last: `applies: …`.
///
/// # Errors
/// Why there is no answer: no such model, or the caller would not be let in.
pub fn explain(config: &Config, question: &Question) -> Result<String, String> {
    Ok(Explanation::of(config, question)?.text())
}

impl<'a> Explanation<'a> {
    /// The answer, for people or programs.
    ///
    /// # Errors
    /// As [`explain`].
    pub fn of(config: &'a Config, question: &'a Question) -> Result<Self, String> {
        let (provider, model) = find(config, &question.model)?;
        let asked = question.group.as_deref().or_else(|| group_of_key(config, &question.client));
        let group = caller(config, asked)?;
        let is_open = admitted(model, group.as_ref());
        let walked = Family::ALL.map(|family| {
            let steps = walk(family, &model.limits, &provider.limits, group.as_ref());
            let winner = steps.iter().position(|step| step.amounts.is_some());
            Walked { family, steps, winner }
        });
        Ok(Self { question, provider, model, asked, group, is_open, walked: walked.into() })
    }

    fn text(&self) -> String {
        let Self { question, provider, model, asked, group, .. } = self;
        let mut out = format!("client `{}`, {}\n", question.client, in_group(group.as_ref()));
        out += &format!(
            "model `{}/{}`, sent upstream as `{}`\n",
            provider.name, model.name, model.upstream_name
        );
        if let (None, Some(group)) = (&question.group, group) {
            out += &format!("group `{group}` is that of its API key\n");
        }
        if let (Some(asked), None) = (asked, group) {
            out += &format!("group `{asked}` is not read: `group_id` is not set\n");
        }
        if !self.is_open {
            out += "access: refused (403): the model's `allow` and `deny` leave this caller out\n";
        }
        self.walked.iter().for_each(|walked| out += &walked.text(&question.client));
        let winners: Vec<_> = self.walked.iter().filter_map(Walked::winner).collect();
        if let Some(tokens) = question.tokens.filter(|_| !winners.is_empty()) {
            let ceiling = model.budgets.of(group.as_ref()).ceiling;
            let fits = match ceiling.is_some_and(|ceiling| tokens > ceiling) {
                true => "is larger than the limit: always refused",
                false => "fits into an empty window",
            };
            out += &format!("a call of {tokens} input tokens {fits}\n");
        }
        out + &applying(&winners)
    }
}

/// The table of a family that applies.
struct Winner<'a> {
    family: Family,
    step: &'a Step<'a>,
    amounts: &'a Amounts,
}

impl Walked<'_> {
    fn winner(&self) -> Option<Winner<'_>> {
        let step = self.steps.get(self.winner?)?;
        Some(Winner { family: self.family, step, amounts: step.amounts? })
    }

    /// Only `per_user` is worth a line where nothing is written.
    fn text(&self, client: &str) -> String {
        let mut out = String::new();
        if self.winner.is_none() && self.family != Family::PerUser {
            return out;
        }
        for (index, step) in self.steps.iter().enumerate() {
            let found = match step.amounts {
                None => "not set".to_owned(),
                Some(amounts) if Some(index) == self.winner => said(amounts).join(", "),
                Some(_) => "not looked at: a nearer table applies".to_owned(),
            };
            out += &format!("  {}. {}: {found}\n", index + 1, step.path);
        }
        if let Some(Winner { step, .. }) = self.winner() {
            let of = if step.of_model {
                "of this model"
            } else {
                "shared by the models of this provider that fall to it"
            };
            let whose = match self.family {
                Family::PerUser => format!("one for client `{client}`"),
                Family::PerGroup => "one for the group".to_owned(),
                Family::Total => "one for all callers".to_owned(),
            };
            out += &format!("bucket: {whose}, {of}\n");
        }
        out
    }
}

/// Every limit that applies, a line each; last the one that is asked for most: on input, the client's own.
fn applying(winners: &[Winner<'_>]) -> String {
    let all = winners.iter().flat_map(|winner| winner.amounts.0.iter().map(move |amount| (winner, amount)));
    let mut all: Vec<_> = all.collect();
    let rank = |(winner, amount): &(&Winner<'_>, &Amount)| (amount.kind != Kind::Input, winner.family);
    let main = (0..all.len()).min_by_key(|index| rank(&all[*index]));
    let Some((winner, amount)) = main.map(|main| all.remove(main)) else {
        return "applies: nothing".to_owned();
    };
    let also =
        all.iter().map(|(winner, amount)| format!("also: {} = {}\n", winner.step.path, in_words(amount)));
    also.collect::<String>() + &format!("applies: {} = {}", winner.step.path, amount.words())
}

/// Limits in words, and whether they only count.
pub fn said(amounts: &Amounts) -> Vec<String> {
    amounts.0.iter().map(in_words).collect()
}

fn in_words(amount: &Amount) -> String {
    let shadow = if amount.mode == Mode::Shadow { " (shadow: never refused)" } else { "" };
    amount.words() + shadow
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
