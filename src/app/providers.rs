//! What is started for each provider: its actors, its address, and the actor of its credential where a key is not enough.

use std::sync::Arc;

use actors::{
    gate::Gate,
    provider::{
        self, Endpoint, Worker,
        credential::{Credential, Source, aws, entra, google},
    },
};

use super::{StartError, Supervisors, at_least_one};
use crate::{
    config::{self, AwsCredentials, ProviderKind},
    server::{
        credential::Opener,
        router::{Provider, Upstream},
    },
    tokens::Counter,
    upstream::Server as Address,
};

impl Supervisors {
    /// Starts what stands behind a provider.
    pub(super) async fn provider(
        &mut self,
        provider: &config::Provider,
        actors: &config::Actors,
        counter: &Arc<Counter>,
    ) -> Result<Provider, StartError> {
        let fault = |what: String| StartError(format!("provider '{}': {what}", provider.name));
        let (endpoint, upstream) = match &provider.kind {
            ProviderKind::Echo { first_byte_delay, token_delay } => {
                let (counter, first_byte_delay, token_delay) =
                    (Arc::clone(counter), *first_byte_delay, *token_delay);
                (None, Upstream::Echo { counter, first_byte_delay, token_delay })
            }
            _ => {
                let (endpoint, upstream) = self.remote(provider).await.map_err(fault)?;
                (Some(Arc::new(endpoint)), upstream)
            }
        };
        let gate = Gate::new(provider.max_in_flight);
        let workers = self
            .providers
            .spawn_shards(
                &format!("provider-{}", provider.name),
                at_least_one(actors.provider_workers),
                actors.mailbox_limit,
                move |own| Worker::new(Arc::clone(&gate), own),
            )
            .await;
        let actor = provider::Provider::new(workers, endpoint);
        let (first_byte_timeout, idle_timeout) = (provider.first_byte_timeout, provider.idle_timeout);
        Ok(Provider { actor, upstream, first_byte_timeout, idle_timeout })
    }

    /// Where a provider is that is reached over HTTP, and how. The error is for the operator.
    async fn remote(&mut self, provider: &config::Provider) -> Result<(Endpoint, Upstream), String> {
        let kind = &provider.kind;
        let models = provider.models.iter().map(|model| &*model.upstream_name);
        let server = Address::new(kind, models).map_err(|error| error.to_string())?;
        let (Some(server), Some(remote)) = (server, kind.remote()) else {
            return Err("this kind of provider is not served".to_owned());
        };
        let endpoint = Endpoint::new(&remote.base_url, remote.ca_pem.as_deref(), provider.connect_timeout);
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        let credential = match source(kind) {
            Some(source) => {
                let spawned = Credential::spawn(&mut self.providers, &provider.name, source).await;
                Some(Opener::new(spawned.map_err(|error| error.to_string())?))
            }
            None => None,
        };
        let (key, forward_token) = (remote.api_key.clone(), provider.forward_token);
        let stream_usage = kind.stream_usage();
        Ok((endpoint, Upstream::Remote { server, key, credential, forward_token, stream_usage }))
    }
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
