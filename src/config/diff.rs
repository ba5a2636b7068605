//! What two configurations have not in common, by the names the file has for it; and what a running server cannot change.
//! Compares what is meant: order, comments and spelling are no difference. Never holds a value.

use super::{Config, Provider, limits::Limits};

/// From one configuration to the next. Dotted names of tables and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Tables that are new.
    pub added: Vec<String>,
    /// Tables and keys that say something else.
    pub changed: Vec<String>,
    /// Tables that are gone.
    pub removed: Vec<String>,
    /// What differs and stays as it was until the next start.
    pub needs_restart: Vec<&'static str>,
}

impl Config {
    /// Takes over from the configuration that is running what cannot change while it runs, and says what differs.
    pub fn follow(&mut self, running: &Self) -> Changes {
        let mut changes = Changes { needs_restart: self.keep(running), ..Changes::default() };
        changes.server(running, self);
        let (old, new) = (&running.providers, &self.providers);
        changes.named("llm.providers", old, new, |provider| &provider.name, Changes::provider);
        changes
    }

    fn keep(&mut self, running: &Self) -> Vec<&'static str> {
        let mut kept = Vec::new();
        let (new, old) = (&mut self.server, &running.server);
        keep("server.listen_address", &mut new.listen_address, &old.listen_address, &mut kept);
        keep("server.admin.listen", &mut new.admin, &old.admin, &mut kept);
        keep("server.rate_limits.storage", &mut new.storage, &old.storage, &mut kept);
        keep("server.tls", &mut new.tls, &old.tls, &mut kept);
        if new.health.listen.is_some() || old.health.listen.is_some() {
            keep("server.health", &mut new.health, &old.health, &mut kept);
        }
        let (new, old) = (&mut self.actors, &running.actors);
        keep("actors.mailbox_limit", &mut new.mailbox_limit, &old.mailbox_limit, &mut kept);
        keep("actors.metrics_interval", &mut new.metrics_interval, &old.metrics_interval, &mut kept);
        kept
    }
}

fn keep<T: Clone + PartialEq>(name: &'static str, new: &mut T, old: &T, kept: &mut Vec<&'static str>) {
    if new != old {
        kept.push(name);
        new.clone_from(old);
    }
}

impl Changes {
    fn server(&mut self, old: &Config, new: &Config) {
        let (server, other) = (&old.server, &new.server);
        let edge = [
            ("max_in_flight", server.max_in_flight != other.max_in_flight),
            ("max_connections", server.max_connections != other.max_connections),
            ("memory_budget", server.memory_budget != other.memory_budget),
            ("request_body_limit", server.request_body_limit != other.request_body_limit),
            ("header_timeout", server.header_timeout != other.header_timeout),
            ("body_timeout", server.body_timeout != other.body_timeout),
            ("write_timeout", server.write_timeout != other.write_timeout),
            ("idle_timeout", server.idle_timeout != other.idle_timeout),
            ("drain_delay", server.drain_delay != other.drain_delay),
            ("shutdown_timeout", server.shutdown_timeout != other.shutdown_timeout),
            ("health", server.health != other.health),
            ("rate_limits.max_clients", server.max_clients != other.max_clients),
            ("rate_limits", server.request_limits != other.request_limits),
            ("cors", server.cors != other.cors),
            ("csrf", server.csrf != other.csrf),
            ("client_ip", server.client_ip != other.client_ip),
            ("oauth.protected_resource", server.protected_resource != other.protected_resource),
        ];
        let edge = edge.into_iter().map(|(name, differs)| (format!("server.{name}"), differs));
        let rest = [
            ("identification", old.identification != new.identification),
            ("actors", old.actors != new.actors),
            ("llm.protocols", old.protocols != new.protocols),
            ("llm.limits", old.counting != new.counting || old.charging != new.charging),
        ];
        let rest = rest.into_iter().map(|(name, differs)| (name.to_owned(), differs));
        self.changed.extend(edge.chain(rest).filter(|(_, differs)| *differs).map(|(name, _)| name));
    }

    fn provider(&mut self, name: &str, old: &Provider, new: &Provider) {
        self.limits(name, &old.limits, &new.limits);
        let (was, is) = (&old.models, &new.models);
        self.named(
            &format!("{name}.models"),
            was,
            is,
            |model| &model.name,
            |changes, name, was, is| {
                changes.limits(name, &was.limits, &is.limits);
                // What follows from other tables is told there.
                let apart = |model: &super::Model| super::Model {
                    budgets: super::budget::Budgets::default(),
                    limits: Limits::default(),
                    ..model.clone()
                };
                if apart(was) != apart(is) {
                    changes.changed.push(name.to_owned());
                }
            },
        );
        let apart = |provider: &Provider| Provider {
            limits: Limits::default(),
            models: Vec::new(),
            ..provider.clone()
        };
        if apart(old) != apart(new) {
            self.changed.push(name.to_owned());
        }
    }

    fn limits(&mut self, of: &str, old: &Limits, new: &Limits) {
        if old != new {
            self.changed.push(format!("{of}.rate_limits"));
        }
    }

    /// Tables of chosen names below `path`.
    fn named<T>(
        &mut self,
        path: &str,
        old: &[T],
        new: &[T],
        name: impl Fn(&T) -> &str,
        both: impl Fn(&mut Self, &str, &T, &T),
    ) {
        let dotted = |one: &T| format!("{path}.{}", super::limits::key(name(one)));
        for one in new {
            match old.iter().find(|other| name(other) == name(one)) {
                Some(before) => both(self, &dotted(one), before, one),
                None => self.added.push(dotted(one)),
            }
        }
        let gone = old.iter().filter(|one| !new.iter().any(|other| name(other) == name(one)));
        self.removed.extend(gone.map(dotted));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::environment::Process;

    const BASE: &str = r#"
[server]
listen_address = "127.0.0.1:8000"
max_in_flight = 10
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
[llm.providers.a]
type = "echo"
[llm.providers.a.rate_limits.per_user]
input_token_limit = 10
interval = "60s"
[llm.providers.a.models.m]
[llm.providers.a.models."n.1"]
[llm.providers.b]
type = "echo"
[llm.providers.b.models.m]
"#;

    fn config(text: &str) -> Config {
        Config::read(Path::new("test.toml"), text, &Process::default()).unwrap().0
    }

    fn changes(edit: impl Fn(&str) -> String) -> Changes {
        config(&edit(BASE)).follow(&config(BASE))
    }

    #[test]
    fn comments_blank_lines_and_order_are_no_change() {
        let turned = changes(|text| {
            let (server, providers) = text.split_once("[llm.providers.a]").unwrap();
            format!("# new\n[llm.providers.a]{providers}\n\n{server}")
        });
        assert_eq!(turned, Changes::default());
    }

    #[test]
    fn every_change_is_told_by_the_name_of_its_table_and_only_there() {
        let limit = changes(|text| text.replace("input_token_limit = 10", "input_token_limit = 20"));
        assert_eq!(
            limit,
            Changes { changed: vec!["llm.providers.a.rate_limits".into()], ..Changes::default() }
        );
        let tables = changes(|text| {
            let text = text
                .replace("[llm.providers.b", "[llm.providers.c")
                .replace("m]\n[llm.providers.a.models.\"n.1\"]", "m]\nrename = \"x\"");
            text.replace("max_in_flight = 10", "max_in_flight = 11").replace("X-User-Id", "X-Client")
        });
        let expected = Changes {
            added: vec!["llm.providers.c".into()],
            changed: vec![
                "server.max_in_flight".into(),
                "identification".into(),
                "llm.providers.a.models.m".into(),
            ],
            removed: vec!["llm.providers.a.models.\"n.1\"".into(), "llm.providers.b".into()],
            needs_restart: vec![],
        };
        assert_eq!(tables, expected);
    }

    #[test]
    fn what_cannot_change_stays_and_is_told() {
        let mut next = config(&BASE.replace(":8000", ":9000"));
        let told = next.follow(&config(BASE));
        assert_eq!(told, Changes { needs_restart: vec!["server.listen_address"], ..Changes::default() });
        assert_eq!(next, config(BASE));
    }
}
