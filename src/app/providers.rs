//! What is started for each provider: its actors, its address, and the actor of its credential where a key is not enough.

use std::sync::Arc;

use actors::{
    gate::Gate,
    provider::{
        self, Endpoint, Worker,
        credential::{Credential, Source, aws, entra, google},
    },
    supervisor::Supervisor,
};

use super::{StartError, crew::Crew, standing::at_least_one};
use crate::{
    config::{self, AwsCredentials, ProviderKind},
    server::{
        credential::Opener,
        router::{Provider, Upstream},
    },
    tokens::Counter,
    upstream::Server as Address,
};

/// What stands behind a provider, as long as it is reached the same way.
pub(super) struct Running {
    /// Its calls in flight.
    pub(super) gate: Arc<Gate>,
    actor: provider::Provider,
    credential: Option<Credential>,
}

impl Running {
    /// Starts what stands behind a provider.
    pub(super) async fn start(
        provider: &config::Provider,
        actors: &config::Actors,
    ) -> Result<Crew<Self>, StartError> {
        let mut supervisor = Supervisor::start("providers").await;
        let remote = provider.kind.remote();
        let endpoint = remote
            .map(|remote| Endpoint::new(&remote.base_url, remote.ca_pem.as_deref(), provider.connect_timeout))
            .transpose()
            .map_err(|error| fault(provider, &error.to_string()))?;
        let credential = match source(&provider.kind) {
            Some(source) => {
                let spawned = Credential::spawn(&mut supervisor, &provider.name, source).await;
                Some(spawned.map_err(|error| fault(provider, &error.to_string()))?)
            }
            None => None,
        };
        let gate = Gate::new(provider.max_in_flight);
        let places = Arc::clone(&gate);
        let workers = supervisor
            .spawn_shards(
                &format!("provider-{}", provider.name),
                at_least_one(actors.provider_workers),
                actors.mailbox_limit,
                move |own| Worker::new(Arc::clone(&places), own),
            )
            .await;
        let actor = provider::Provider::new(workers, endpoint.map(Arc::new));
        Ok(Crew::new(supervisor, Self { gate, actor, credential }))
    }

    /// The provider as calls see it: how it is addressed, and within which time.
    pub(super) fn serve(
        &self,
        provider: &config::Provider,
        counter: &Arc<Counter>,
    ) -> Result<Provider, StartError> {
        let upstream = match &provider.kind {
            ProviderKind::Echo { first_byte_delay, token_delay } => Upstream::Echo {
                counter: Arc::clone(counter),
                first_byte_delay: *first_byte_delay,
                token_delay: *token_delay,
            },
            _ => self.remote(provider)?,
        };
        let (first_byte_timeout, idle_timeout) = (provider.first_byte_timeout, provider.idle_timeout);
        Ok(Provider { actor: self.actor.clone(), upstream, first_byte_timeout, idle_timeout })
    }

    fn remote(&self, provider: &config::Provider) -> Result<Upstream, StartError> {
        let kind = &provider.kind;
        let models = provider.models.iter().map(|model| &*model.upstream_name);
        let server = Address::new(kind, models).map_err(|error| fault(provider, &error.to_string()))?;
        let (Some(server), Some(remote)) = (server, kind.remote()) else {
            return Err(fault(provider, "this kind of provider is not served"));
        };
        let (key, credential) = (remote.api_key.clone(), self.credential.clone().map(Opener::new));
        let (forward_token, stream_usage) = (provider.forward_token, kind.stream_usage());
        Ok(Upstream::Remote { server, key, credential, forward_token, stream_usage })
    }
}

fn fault(provider: &config::Provider, what: &str) -> StartError {
    StartError(format!("provider '{}': {what}", provider.name))
}

/// Where from comes what opens a provider that has more than a key.
fn source(kind: &ProviderKind) -> Option<Source> {
    let environment = |name: &str| std::env::var(name).ok();
    Some(match kind {
        ProviderKind::Bedrock { region, credentials, .. } => {
            Source::Aws(aws::Source::new(configured(credentials), region, environment))
        }
        ProviderKind::Google { vertex: Some(vertex), .. } => {
            Source::Google(google::Source::new(vertex.credentials_file.clone(), environment))
        }
        ProviderKind::Azure { entra: Some(entra), .. } => {
            let (tenant, client_id) = (entra.tenant.clone(), entra.client_id.clone());
            let source = entra::Source::new(tenant, client_id, entra.client_secret.clone(), None);
            Source::Entra(source.or_environment(environment))
        }
        _ => return None,
    })
}

fn configured(credentials: &AwsCredentials) -> aws::Configured {
    match credentials {
        AwsCredentials::Keys { access_key_id, secret_access_key, session_token } => aws::Configured::Keys {
            access_key_id: access_key_id.expose().to_owned(),
            secret_access_key: secret_access_key.clone(),
            session_token: session_token.clone(),
        },
        AwsCredentials::Profile(name) => aws::Configured::Profile(name.clone()),
        AwsCredentials::Chain => aws::Configured::Chain,
    }
}
