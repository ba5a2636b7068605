//! `/explain` of the operator's listener: what `nexus explain` says of the configuration, and how it stands right now.
//! Takes nothing of any limit. Units: those of each kind; seconds, rounded up.

use actors::{
    ClientId, Group, Principal, Unreachable,
    quota::{AccountId, Demand, Refusal},
};
use http::StatusCode;
use serde::Serialize;

use super::{
    charge,
    router::Router,
    usage::{self, Amount, Row},
};
use crate::{
    config::{
        explain::{Explanation, Question, Walked, said},
        limits::Family,
    },
    protocol::unescaped,
    route::Target,
};

#[derive(Serialize)]
struct Answer<'a> {
    /// Null = nobody in particular.
    client: Option<&'a str>,
    group: Option<&'a str>,
    model: &'a str,
    tokens: u64,
    /// Every table that was looked for.
    looked_at: Vec<Table<'a>>,
    /// Those of them that apply.
    applies: Vec<&'a str>,
    limits: Vec<Live>,
    /// `error.limit` of the refusal; `access`, where the caller may not use the model; null = admitted.
    refused_by: Option<String>,
    /// Null = never.
    admitted_in_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Table<'a> {
    family: &'static str,
    table: &'a str,
    /// `applies`, `hidden` by a nearer one, or `not_set`.
    state: &'static str,
    limits: Vec<String>,
}

/// A limit that applies.
#[derive(Serialize)]
struct Live {
    rule: String,
    #[serde(flatten)]
    row: Row,
    debt: Amount,
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

/// The status and the JSON of an answer to the question in a query.
pub(super) async fn answer(router: &Router, query: &str) -> (StatusCode, String) {
    let answer = match question(query) {
        Ok(question) => explained(router, &question).await,
        Err(problem) => Err((StatusCode::BAD_REQUEST, problem)),
    };
    answer.map(|answer| (StatusCode::OK, answer)).unwrap_or_else(|(status, problem)| {
        (status, serde_json::to_string(&Problem { error: &problem }).unwrap_or_default())
    })
}

async fn explained(router: &Router, question: &Question) -> Result<String, (StatusCode, String)> {
    let known = router.routes.all().iter().find(|target| target.id == question.model);
    let explanation = Explanation::of(&router.config, question).map_err(|why| match known {
        Some(_) => (StatusCode::BAD_REQUEST, why),
        None => (StatusCode::NOT_FOUND, why),
    })?;
    let Some(target) = known else { return Err((StatusCode::NOT_FOUND, String::new())) };
    // Where nobody is identified, nobody has limits of its own.
    let is_identified = router.config.identification.is_some();
    let own = |walked: &Walked<'_>| walked.winner.is_some() && walked.family != Family::Total;
    let named = Some(question.client.as_str()).filter(|client| !client.is_empty());
    if named.is_none() && is_identified && explanation.walked.iter().any(own) {
        return Err((StatusCode::BAD_REQUEST, missing("client")));
    }
    let client = named.filter(|_| is_identified).map(ClientId::new);
    let caller = Principal { client, group: explanation.group.clone() };
    let unknown = |_| (StatusCode::SERVICE_UNAVAILABLE, "a quota actor does not answer".to_owned());
    let tokens = question.tokens.unwrap_or(1);
    let limits = live(router, target, &caller).await.map_err(unknown)?;
    let (refused_by, admitted_in_seconds) = match explanation.is_open {
        true => refusal(router, target, &caller, tokens).await.map_err(unknown)?,
        false => (Some("access".to_owned()), None),
    };
    let answer = Answer {
        client: named,
        group: caller.group.as_ref().map(Group::as_str),
        model: &question.model,
        tokens,
        looked_at: explanation.walked.iter().flat_map(tables).collect(),
        applies: explanation.walked.iter().filter_map(applying).collect(),
        limits,
        refused_by,
        admitted_in_seconds,
    };
    Ok(serde_json::to_string(&answer).unwrap_or_default())
}

fn tables<'a>(walked: &'a Walked<'_>) -> impl Iterator<Item = Table<'a>> {
    walked.steps.iter().enumerate().map(|(index, step)| {
        let state = match step.amounts {
            None => "not_set",
            Some(_) if Some(index) == walked.winner => "applies",
            Some(_) => "hidden",
        };
        let limits = step.amounts.map(said).unwrap_or_default();
        Table { family: walked.family.name(), table: &step.path, state, limits }
    })
}

fn applying<'a>(walked: &'a Walked<'_>) -> Option<&'a str> {
    Some(&walked.steps.get(walked.winner?)?.path)
}

/// How every limit stands that applies.
async fn live(router: &Router, target: &Target, caller: &Principal) -> Result<Vec<Live>, Unreachable> {
    let mut all = Vec::new();
    for (account, rules) in target.accounts(caller) {
        let family = match account {
            AccountId::Client(_) => Family::PerUser,
            AccountId::Pool(..) => Family::PerGroup,
            AccountId::Total(_) => Family::Total,
        };
        let Some(applied) = target.budget(caller).of(family) else { continue };
        let levels = router.quota.usage(&account, rules).await?;
        all.extend(rules.iter().zip(&levels).map(|(rule, level)| Live {
            rule: rule.id.to_string(),
            row: Row::new(usage::scope(target, applied, family), rule, level),
            debt: Amount::of(rule.kind, level.debt),
        }));
    }
    Ok(all)
}

/// Who would refuse such a call now, of several the one that does so for longest; and when nobody would.
async fn refusal(
    router: &Router,
    target: &Target,
    caller: &Principal,
    tokens: u64,
) -> Result<(Option<String>, Option<u64>), Unreachable> {
    let accounts = target.accounts(caller);
    let demand = Demand {
        accounts: &accounts,
        member: caller.client.as_ref(),
        input: charge::expected(target, caller, tokens),
        output: true,
        price: target.price,
    };
    let refusals = router.quota.look(&demand).await?.into_iter().flatten();
    let longest = refusals.max_by_key(|refusal| refusal.retry_after_seconds().unwrap_or(u64::MAX));
    Ok(match longest {
        None => (None, Some(0)),
        Some(Refusal::Short { rule, retry_after, .. }) => {
            (Some(rule.id.to_string()), Some(usage::seconds(retry_after)))
        }
        Some(Refusal::Oversize { rule, .. }) => (Some(rule.id.to_string()), None),
        Some(Refusal::Crowded) => (Some("max_clients".to_owned()), None),
        Some(Refusal::Unreachable(gone)) => return Err(gone),
    })
}

fn missing(name: &str) -> String {
    format!("`{name}` is missing: /explain?client=A&group=G&model=P/M&tokens=N")
}

/// The question in a query. Whether it needs a client is known when its model is: without one, the client is empty.
fn question(query: &str) -> Result<Question, String> {
    let [mut client, mut group, mut model, mut tokens] = [const { None }; 4];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = unescaped(&value.replace('+', " ")).ok_or_else(|| format!("`{name}` is no UTF-8"))?;
        let place = match name {
            "client" => &mut client,
            "group" => &mut group,
            "model" => &mut model,
            "tokens" => &mut tokens,
            _ => return Err(format!("unknown parameter `{name}`; known: client, group, model, tokens")),
        };
        if place.replace(value).is_some() {
            return Err(format!("`{name}` is given twice"));
        }
    }
    let client: String = client.unwrap_or_default();
    if client.len() > ClientId::MAX_BYTES {
        return Err(format!("`client` is longer than {} bytes", ClientId::MAX_BYTES));
    }
    let whole = |text: String| text.parse().map_err(|_| format!("`tokens` is no whole number: `{text}`"));
    let (model, tokens) = (model.ok_or_else(|| missing("model"))?, tokens.map(whole).transpose()?);
    Ok(Question { client, group, model, tokens })
}

#[cfg(test)]
mod tests {
    use super::question;

    #[test]
    fn a_question_is_read_from_a_query_and_what_is_wrong_with_it_named() {
        let asked = question("client=a%26b+c&model=p/m%2Fn&tokens=7&&group=").unwrap();
        assert_eq!((asked.client.as_str(), asked.model.as_str(), asked.tokens), ("a&b c", "p/m/n", Some(7)));
        assert_eq!(asked.group.as_deref(), Some(""));
        assert_eq!(question("model=p/m").unwrap().client, "");
        for (query, part) in [
            ("", "`model` is missing"),
            ("client=a", "`model` is missing"),
            ("client=a&model=p/m&tokens=-1", "no whole number"),
            ("client=a&model=p/m&tokens=", "no whole number"),
            ("client=a&client=b&model=p/m", "twice"),
            ("client=a&model=p/m&user=b", "unknown parameter `user`"),
            ("client=%ff&model=p/m", "no UTF-8"),
            (&format!("client={}&model=p/m", "a".repeat(1025)), "longer"),
        ] {
            let problem = question(query).unwrap_err();
            assert!(problem.contains(part), "{query}: {problem}");
        }
    }
}
