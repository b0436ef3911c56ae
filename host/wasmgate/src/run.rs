//! Build, run, drain: from the validated configuration to a server, and to its clean end.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cacher::{Caches, Freshness};
use clock::Clock;
use objectstore::ObjectStore;
use pki::Pki;
use plugin_host::{CodeCache, Loader, PluginDirectory, PluginEngine, PluginSet, PluginState, PluginStatus, Services, Tokens};
use registry::Registry;
use server::endpoints::{Endpoints, Parts, TokenSigner};
use server::health::{Health, Probe};
use server::limits::CONNECTIONS_COUNT_MAX;
use server::limits::ConnectionLimits;
use server::listener::{ReservedPort, Server};
use server::metrics::Metrics;
use server::openid::OpenId;
use server::road::{Road, RoadConfig};
use server::shutdown::{Phase, Shutdown};
use server::tls::Tls;
use services::{Masters, NodePortRepair, ServiceHooks, ServiceRanges};

use crate::bootstrap::Bootstrap;
use crate::cluster::CachedCluster;
use crate::config::{self, Config};
use crate::token_signer::ServiceAccountTokens;
use crate::{certificates, data_dir, kubeconfig, memory, open_files, signals, standard};

type Failure = Box<dyn Error + Send + Sync>;

/// How long requests in flight may take once the server ends; upstream's is the request timeout.
const DRAIN_DURATION_MAX: Duration = Duration::from_secs(60);

/// Runs until a signal. The order matters: signals are listened to first; the port is taken before the kubeconfig is written, which names
/// it, and stays closed until the kubeconfig is there, the caches are filled and every plugin that something depends on is in force.
pub async fn run(config: Config) -> Result<(), Failure> {
    let mut signalled = signals::listen()?;
    api::capabilities::set_allow_privileged(config.allow_privileged);
    let code_cache = prepare_data_dir(&config)?;
    let clock = Clock::system();
    let pki = certificates::load(&config, jiff::Timestamp::now())?;
    let limits =
        ConnectionLimits { connections_count_max: open_files::connections_count_max(CONNECTIONS_COUNT_MAX), ..ConnectionLimits::default() };
    let tls = tls(&pki)?;
    let port = ReservedPort::take(config.listen)?;
    let address = port.address();

    let (store, freshness) = open_store(&config).await?;
    let caches = Caches::start(store, freshness, api::Catalogue::built_in()).await?;
    if let Some(interval) = config.compaction_interval {
        tokio::spawn(cacher::compact(Arc::downgrade(&caches), interval));
    }

    let metrics = Arc::new(Metrics::new());
    let plugins = load_plugins(&config, &pki, &caches, &metrics, code_cache).await?;
    let ranges = service_ranges(&config)?;
    let hooks = Arc::new(ServiceHooks::new(ranges.clone()));
    let registry = Arc::new(Registry::new(caches.clone(), hooks));
    let bootstrap = Bootstrap::new(&pki, clock.clone());
    bootstrap.ensure(&registry).await?;
    let alone = matches!(config.storage, config::Storage::Embedded);
    let mut node_ports = NodePortRepair::new(registry.clone(), ranges.clone());
    if let Err(status) = node_ports.repair().await {
        tracing::warn!(%status, "the range of node ports could not be repaired; Services are given none until it can");
    }
    let masters = Arc::new(Masters::new(registry.clone(), ranges, config.advertise_address, address.port(), alone, clock.clone()));
    masters.reconcile().await?;
    let directory = tokio::select! {
        directory = follow_directory(&config, &plugins) => directory?,
        _ = signalled.wait_for(|asked| *asked) => {
            tracing::info!("ended before the port was opened");
            return Ok(masters.leave().await?);
        }
    };

    let shutdown = Shutdown::new();
    let health = health(&caches, &plugins, &shutdown);
    let road = Road::new(RoadConfig {
        chains: plugins.clone(),
        clock: clock.clone(),
        catalogues: caches.catalogues(),
        handler: Arc::new(Endpoints::new(Parts {
            registry: registry.clone(),
            clock: clock.clone(),
            token_signer: token_signer(&config, &pki)?,
            health,
            metrics: metrics.clone(),
            openid: openid(&config, &pki, address),
            server_address: format!("{}:{}", config.advertise_address, address.port()),
            watch_duration_min: config.requests.min_watch,
        })),
        flow_control: flow_control(&config),
        metrics,
        shutdown: shutdown.clone(),
        request_duration_max: config.requests.timeout,
    });
    let reconciling = tokio::spawn(masters.clone().run());
    let repairing = tokio::spawn(node_ports.run());
    let keeping_up = tokio::spawn(bootstrap.keep_up(registry.clone()));
    let controllers = controllers::start(
        &controllers::Server { registry: registry.clone(), chains: plugins.clone(), clock },
        &config.controllers,
        &pki.serving_ca_pem,
    );
    if let Some(path) = kubeconfig::write(&pki, &config.data_dir, address)? {
        tracing::info!("administrator's kubeconfig: {}", path.display());
    }
    let serving = tokio::spawn(Server::open(port, tls, limits)?.serve(road, DRAIN_DURATION_MAX));
    tracing::info!("serving on https://{address}");
    signals::notify_ready();
    memory::let_go_of_code();

    signalled.wait_for(|asked| *asked).await?;
    // `/readyz` fails first, so that load balancers look elsewhere; then the port closes; then requests under way end.
    shutdown.advance(Phase::NotReady);
    tokio::time::sleep(config.shutdown_delay).await;
    drop((controllers, directory));
    reconciling.abort();
    repairing.abort();
    keeping_up.abort();
    if let Err(status) = masters.leave().await {
        tracing::warn!(%status, "this server stays among the endpoints of the service kubernetes until its lease runs out");
    }
    shutdown.advance(Phase::Draining);
    let drained = serving.await?;
    tracing::info!(?drained, "ended");
    Ok(())
}

fn tls(pki: &Pki) -> Result<Tls, Failure> {
    let pem = |chain: &[rustls_pki_types::CertificateDer<'_>]| -> String { chain.iter().map(|c| pki::pem("CERTIFICATE", c)).collect() };
    let client_ca = pem(&pki.client_ca);
    let key = pki::pem("PRIVATE KEY", pki.serving.key.secret_der());
    Ok(Tls::from_pem(pem(&pki.serving.chain).as_bytes(), key.as_bytes(), Some(client_ca.as_bytes()))?)
}

/// The store, and how fresh reads get to be.
async fn open_store(config: &Config) -> Result<(ObjectStore, Freshness), Failure> {
    let (store, freshness) = match &config.storage {
        config::Storage::Embedded => {
            let store = storage_embedded::Embedded::open(&config.data_dir, storage_embedded::Options::default())?;
            (ObjectStore::new(store, "/registry/"), Freshness::InWritePath)
        }
        config::Storage::Etcd(etcd) => {
            let bytes = |pem: &String| pem.clone().into_bytes();
            let mut options = storage_etcd::Options::new(etcd.servers.clone());
            options.ca = etcd.ca_pem.as_ref().map(bytes);
            options.cert = etcd.client_pem.as_ref().map(|(certificate, _)| bytes(certificate));
            options.key = etcd.client_pem.as_ref().map(|(_, key)| bytes(key));
            let store = storage_etcd::Etcd::connect(options).await?;
            (ObjectStore::new(store, &format!("{}/", etcd.prefix)), Freshness::AskStore)
        }
    };
    Ok((store.with_media_type(config.storage_media_type), freshness))
}

/// The data directory, private to this user, and in it the cache of compiled plugins. A server to which everything is given keeps nothing
/// but that cache, and does without it where there is no place for it.
fn prepare_data_dir(config: &Config) -> Result<Option<CodeCache>, Failure> {
    let path = &config.data_dir;
    let open = || CodeCache::open(path.join(data_dir::PLUGIN_CACHE), &path.join(data_dir::PLUGIN_CACHE_KEY));
    match data_dir::prepare(path) {
        Ok(()) => match open() {
            Ok(cache) => Ok(Some(cache)),
            Err(error) => {
                tracing::warn!("compiled plugins are not kept: {}: {error}", path.display());
                Ok(None)
            }
        },
        Err(error) if config.needs_data_dir() => Err(error.into()),
        Err(error) => {
            tracing::warn!("compiled plugins are not kept: {error}");
            Ok(None)
        }
    }
}

async fn load_plugins(
    config: &Config,
    pki: &Pki,
    caches: &Arc<Caches>,
    metrics: &Metrics,
    code_cache: Option<CodeCache>,
) -> Result<Arc<PluginSet>, Failure> {
    let selection = standard::select(config);
    let asked: Vec<_> = selection.missing.iter().filter(|name| is_asked_for(name, config)).collect();
    if !asked.is_empty() {
        tracing::warn!("asked for by flags, and no component yet: {asked:?}; requests are decided without them");
    }
    let service_accounts = &config.authentication.service_accounts;
    let key_pems: Vec<String> = pki.service_account_keys.iter().map(pki::PublicKey::to_pem).collect();
    let tokens = Tokens::new(&key_pems, service_accounts.issuers.clone(), service_accounts.audiences.clone())?;
    let loader = Loader {
        engine: PluginEngine::new()?,
        services: Services { cluster: Arc::new(CachedCluster::new(caches.clone())), tokens: Arc::new(tokens), now: SystemTime::now },
        // What the operator puts into the directory is trusted with all capabilities but the tokens' keys.
        allowed: BTreeSet::from([
            plugin_host::Capability::Log,
            plugin_host::Capability::Clock,
            plugin_host::Capability::Random,
            plugin_host::Capability::Cluster,
            plugin_host::Capability::Index,
            plugin_host::Capability::Http,
            plugin_host::Capability::Counters,
            plugin_host::Capability::Authorizer,
        ]),
        reserved_names: standard::names(),
        cache: code_cache,
        metrics: plugin_host::Metrics::new(metrics.registry()),
    };
    Ok(PluginSet::new(loader, selection.plugins).await?)
}

fn is_asked_for(name: &str, config: &Config) -> bool {
    config.admission_plugins_enabled.contains(&name) || config.authorization_modes.iter().any(|mode| mode.name() == name)
}

fn service_ranges(config: &Config) -> Result<ServiceRanges, Failure> {
    let networks: Vec<String> = config.service_cluster_ip_ranges.iter().map(ToString::to_string).collect();
    let ranges = ServiceRanges::new(networks.iter().map(String::as_str), config.service_node_ports.clone());
    ranges.ok_or_else(|| "--service-cluster-ip-range names no network".into())
}

/// Waits until every plugin that decides something is in force. A policy that does not load keeps the port closed until it is mended or
/// removed.
async fn follow_directory(config: &Config, plugins: &Arc<PluginSet>) -> Result<Option<PluginDirectory>, Failure> {
    let Some(path) = &config.plugin_dir else { return Ok(None) };
    let directory = PluginDirectory::open(plugins.clone(), path.clone()).await?;
    plugins.until_required_are_in_force().await;
    Ok(Some(directory))
}

/// Upstream's checks by upstream's names, and one for the plugins.
fn health(caches: &Arc<Caches>, plugins: &Arc<PluginSet>, shutdown: &Shutdown) -> Health {
    let health = Health::new();
    health.check(&Probe::ALL, "ping", || Ok(()));
    health.check(&Probe::ALL, "log", || Ok(()));
    let storage = caches.storage().clone();
    for (probes, name) in [(&Probe::ALL[..], "etcd"), (&[Probe::Readyz][..], "etcd-readiness")] {
        let storage = storage.clone();
        health.check_async(probes, name, move || {
            let storage = storage.clone();
            Box::pin(async move { storage.healthy().await.map_err(|error| error.to_string()) })
        });
    }
    // The caches are filled and the first plugins loaded before the port opens.
    health.check(&[Probe::Readyz], "informer-sync", || Ok(()));
    for name in POST_START_HOOKS {
        health.check(&Probe::ALL, format!("poststarthook/{name}"), || Ok(()));
    }
    plugins_check(&health, plugins);
    let shutdown = shutdown.clone();
    health.check(&[Probe::Readyz], "shutdown", move || {
        if shutdown.phase() == Phase::Serving { Ok(()) } else { Err("process is shutting down".into()) }
    });
    health
}

/// A plugin that is wanted and not in force fails `/readyz`; what else is to be known of plugins is remarked.
fn plugins_check(health: &Health, plugins: &Arc<PluginSet>) {
    let states = plugins.clone();
    health.check(&[Probe::Readyz], "plugins", move || {
        let failed = |state: &PluginState| match &state.status {
            PluginStatus::Failed { reason, still_serving: false } => Some(format!("{}: {reason}", state.name)),
            _ => None,
        };
        let failed: Vec<String> = states.states().iter().filter_map(failed).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    });
    let plugins = plugins.clone();
    health.tells("plugins", move || {
        let remark = |state: &PluginState| match &state.status {
            PluginStatus::Failed { reason, still_serving: true } => {
                Some(format!("plugin {}: its newest version does not load, the one before is in force: {reason}", state.name))
            }
            PluginStatus::Loading { .. } => Some(format!("plugin {}: its newest version is being loaded", state.name)),
            _ => None,
        };
        let stray = |file: &String| format!("{file} is no plugin without a manifest that names it");
        plugins.states().iter().filter_map(remark).chain(plugins.strays().iter().map(stray)).collect()
    });
}

/// Upstream's post-start hooks by their names in `/readyz`. Their work is done here before the port opens, so that they are always ready.
const POST_START_HOOKS: [&str; 3] =
    ["rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes", "start-system-namespaces-controller"];

fn token_signer(config: &Config, pki: &Pki) -> Result<Option<Arc<dyn TokenSigner>>, Failure> {
    let service_accounts = &config.authentication.service_accounts;
    let Some(key) = &pki.service_account_signing_key else { return Ok(None) };
    let signer =
        ServiceAccountTokens::new(key, &service_accounts.issuers[0], &service_accounts.audiences, service_accounts.max_token_expiration)?;
    Ok(Some(Arc::new(signer)))
}

fn openid(config: &Config, pki: &Pki, address: std::net::SocketAddr) -> OpenId {
    let jwks: Vec<_> = pki.service_account_keys.iter().filter_map(pki::jwk).collect();
    let uri = format!("https://{}:{}/openid/v1/jwks", config.advertise_address, address.port());
    OpenId::new(&config.authentication.service_accounts.issuers[0], &uri, &jwks)
}

fn flow_control(config: &Config) -> flowcontrol::FlowControl {
    let count = |max: Option<u32>| max.map_or(0, |max| max as usize);
    flowcontrol::FlowControl::new(flowcontrol::Limits {
        read_only_count_max: count(config.requests.inflight_max),
        mutating_count_max: count(config.requests.mutating_inflight_max),
    })
}
