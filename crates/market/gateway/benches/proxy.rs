//! Compares the gateway with nginx, with what its libraries do at least, and with Caddy if there is one, as proxies of the
//! same upstream.
//!
//! `TEST_NGINX` names nginx and `TEST_CADDY` Caddy. The upstream is nginx too. Proxies take turns in rounds; the results are
//! medians. Load, upstream and proxy share the machine, so the CPU time that a proxy needs for a request says more than the rate.
//!
//! Without modules of others, Caddy cannot verify tokens: its `forward_auth` asks a server for each request. Here this is the
//! upstream, which accepts everything at once, so the comparison is in favour of Caddy.
//!
//! `cargo bench -p api-gateway` with `SECONDS=` and `ROUNDS=` for other lengths than 5 rounds of 5 seconds.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kennel_loadgen::{Load, Measured, get, median};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const CALLERS: usize = 32;
const BARE: &str = "bare axum and hyper";
const CADDY: &str = "Caddy";
const CADDY_AUTHENTICATING: &str = "Caddy with forward_auth";
const BODY: &str = r#"{"items":[{"venue":"kraken","symbol":"BTC-USD","open":"105944.2","high":"105999.9","low":"105900.1","close":"105950.0"}]}"#;

/// A program that is killed at the end.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Program {
    fn start(program: &Path, args: &[&str], env: &[(&str, &str)], folder: &Path) -> anyhow::Result<Self> {
        let log = fs::File::create(folder.join("log"))?;
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env.iter().copied()).current_dir(folder);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn().with_context(|| format!("cannot start {}", program.display()))?))
    }

    /// The processes of the program: nginx has workers.
    fn pids(&self) -> Vec<u32> {
        let own = self.0.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        [own].into_iter().chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// CPU time so far, in ticks of a hundredth of a second.
    fn ticks(&self) -> u64 {
        let of = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
            fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
        };
        self.pids().into_iter().map(of).sum()
    }

    /// Resident memory at its highest, in MiB.
    fn peak_mib(&self) -> u64 {
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
        };
        self.pids().into_iter().map(of).sum::<u64>() / 1024
    }
}

struct Proxy {
    name: &'static str,
    program: Program,
    address: SocketAddr,
    request: Vec<u8>,
    rates: Vec<f64>,
    /// Microseconds of CPU time for a request.
    costs: Vec<f64>,
    latency: Measured,
    _folder: tempfile::TempDir,
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn wait_for(address: SocketAddr) -> anyhow::Result<()> {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(started.elapsed() < Duration::from_secs(30), "{address} does not listen");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

const NGINX: &str = "daemon off;\nworker_processes 2;\npid nginx.pid;\nerror_log stderr;\nevents { worker_connections 1024; }\n\
    http {\naccess_log off;\nkeepalive_requests 1000000000;\n";

fn nginx(name: &'static str, program: &Path, servers: &str, address: SocketAddr) -> anyhow::Result<Proxy> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("nginx.conf"), format!("{NGINX}{servers}\n}}\n"))?;
    let prefix = format!("{}/", folder.path().display());
    let program = Program::start(program, &["-p", &prefix, "-c", "nginx.conf", "-e", "stderr"], &[], folder.path())?;
    proxy(name, program, address, folder, get("/api/v1/candles"))
}

fn proxy(
    name: &'static str,
    program: Program,
    address: SocketAddr,
    folder: tempfile::TempDir,
    request: Vec<u8>,
) -> anyhow::Result<Proxy> {
    wait_for(address)?;
    let response = kennel_loadgen::send(address, &request)?;
    ensure!(
        response.status == 200 && response.body == BODY.as_bytes(),
        "{name}: {} {:?}",
        response.status,
        response.body
    );
    let (rates, costs, latency) = (Vec::new(), Vec::new(), Measured::default());
    Ok(Proxy { name, program, address, request, rates, costs, latency, _folder: folder })
}

fn gateway(name: &'static str, upstream: SocketAddr, token: Option<&Token>) -> anyhow::Result<Proxy> {
    let folder = tempfile::tempdir()?;
    let access = if token.is_some() { "scopes = [\"candles:read\"]" } else { "public = true" };
    let routes = format!(
        "[upstreams.a]\nurls = [\"http://{upstream}\"]\n[[routes]]\nname = \"candles\"\npath = \"/api/v1/candles\"\n\
         methods = [\"GET\"]\nupstream = \"a\"\n{access}\n"
    );
    fs::write(folder.path().join("routes.toml"), routes)?;
    let address = free_port()?;
    let port = address.port().to_string();
    let mut env = vec![
        ("SERVER_PORT", port.as_str()),
        ("PROMETHEUS_PORT", "0"),
        ("GATEWAY_ROUTES", "routes.toml"),
        ("LOG_LEVEL", "warn"),
    ];
    let mut request = get("/api/v1/candles");
    if let Some(token) = token {
        fs::write(folder.path().join("keys.json"), &token.keys)?;
        env.extend([
            ("AUTH", "jwt"),
            ("AUTH_ISSUER", "bench"),
            ("AUTH_AUDIENCE", "bench"),
            ("AUTH_JWKS_FILE", "keys.json"),
        ]);
        request = format!("GET /api/v1/candles HTTP/1.1\r\nhost: load\r\nauthorization: Bearer {}\r\n\r\n", token.text)
            .into_bytes();
    }
    let program = Program::start(Path::new(env!("CARGO_BIN_EXE_api-gateway")), &["serve"], &env, folder.path())?;
    proxy(name, program, address, folder, request)
}

/// A proxy with the libraries of the gateway and nothing else: no log, metric, limit, timeout or rule for headers.
fn bare(upstream: SocketAddr) -> anyhow::Result<Proxy> {
    let (folder, address) = (tempfile::tempdir()?, free_port()?);
    let (own, upstream) = (address.to_string(), upstream.to_string());
    let program = Program::start(&std::env::current_exe()?, &[BARE, &own, &upstream], &[], folder.path())?;
    proxy(BARE, program, address, folder, get("/api/v1/candles"))
}

/// The process of [`bare`].
#[tokio::main]
async fn serve_bare(address: &str, upstream: &str) -> anyhow::Result<()> {
    let authority: http::uri::Authority = upstream.parse()?;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let forward = async move |mut request: axum::extract::Request| {
        let path = request.uri().path_and_query().cloned();
        let uri = http::Uri::builder().scheme("http").authority(authority.clone());
        let uri = uri.path_and_query(path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"))).build();
        *request.uri_mut() = uri.map_err(|_| http::StatusCode::BAD_REQUEST)?;
        client.request(request).await.map_err(|_| http::StatusCode::BAD_GATEWAY)
    };
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, axum::Router::new().fallback(forward)).await?)
}

/// An access token that is valid for a day, and the key set of its issuer.
struct Token {
    text: String,
    keys: String,
}

impl Token {
    fn new() -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).map_err(|error| anyhow::anyhow!("{error}"))?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let keys =
            format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"1","x":"{x}"}}]}}"#);
        #[expect(clippy::disallowed_methods, reason = "the service that is measured reads the same clock")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
        let claims = format!(
            r#"{{"iss":"bench","aud":"bench","sub":"user-1","client_id":"bench","jti":"1","iat":{now},"exp":{},"scope":"candles:read"}}"#,
            now + 86_400
        );
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"1"}"#);
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()).as_ref());
        Ok(Self { text: format!("{message}.{signature}"), keys })
    }
}

fn caddy(name: &'static str, program: &Path, upstream: SocketAddr, authenticates: bool) -> anyhow::Result<Proxy> {
    let folder = tempfile::tempdir()?;
    let address = free_port()?;
    let authentication =
        if authenticates { format!("\tforward_auth {upstream} {{\n\t\turi /verify\n\t}}\n") } else { String::new() };
    let config = format!(
        "{{\n\tadmin off\n\tauto_https off\n\tlog {{\n\t\tlevel ERROR\n\t}}\n}}\n\
         http://:{} {{\n{authentication}\treverse_proxy {upstream}\n}}\n",
        address.port()
    );
    fs::write(folder.path().join("Caddyfile"), config)?;
    let home = folder.path().display().to_string();
    let program = Program::start(program, &["run", "--config", "Caddyfile"], &[("HOME", &home)], folder.path())?;
    proxy(name, program, address, folder, get("/api/v1/candles"))
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn measure(proxy: &mut Proxy, duration: Duration) -> anyhow::Result<()> {
    let before = proxy.program.ticks();
    let measured = Load { server: proxy.address, callers: CALLERS, duration, interval: Duration::ZERO }
        .run(std::slice::from_ref(&proxy.request))?;
    ensure!(measured.failed() == 0, "{}: {:?}", proxy.name, measured.failures());
    let micros = (proxy.program.ticks() - before) as f64 * 10_000.0;
    proxy.rates.push(measured.rate());
    proxy.costs.push(micros / measured.responses() as f64);
    proxy.latency.add(measured);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args().collect();
    if let [_, mode, address, upstream] = &args[..]
        && mode == BARE
    {
        return serve_bare(address, upstream);
    }
    let Some(nginx_program) = std::env::var_os("TEST_NGINX").map(PathBuf::from) else {
        println!("skipped: TEST_NGINX is not set");
        return Ok(());
    };
    let upstream = free_port()?;
    let block = format!(
        "server {{ listen {upstream}; default_type application/json; location / {{ return 200 '{BODY}'; }}\n\
         location /verify {{ return 204; }} }}"
    );
    let _upstream = nginx("upstream", &nginx_program, &block, upstream)?;
    let address = free_port()?;
    let block = format!(
        "upstream u {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Request-ID $request_id; }} }}"
    );
    let token = Token::new()?;
    let mut proxies = vec![
        nginx("nginx", &nginx_program, &block, address)?,
        bare(upstream)?,
        gateway("gateway", upstream, None)?,
        gateway("gateway with JWT", upstream, Some(&token))?,
    ];
    if let Some(program) = std::env::var_os("TEST_CADDY") {
        proxies.push(caddy(CADDY, Path::new(&program), upstream, false)?);
        proxies.push(caddy(CADDY_AUTHENTICATING, Path::new(&program), upstream, true)?);
    }
    let duration = Duration::from_secs(number("SECONDS", 5));
    for proxy in &mut proxies {
        measure(proxy, Duration::from_secs(1))?;
        (proxy.rates, proxy.costs, proxy.latency) = (Vec::new(), Vec::new(), Measured::default());
    }
    for _ in 0..number("ROUNDS", 5) {
        for proxy in &mut proxies {
            measure(proxy, duration)?;
        }
    }
    report(&proxies);
    Ok(())
}

fn report(proxies: &[Proxy]) {
    let medians: BTreeMap<_, _> =
        proxies.iter().map(|proxy| (proxy.name, (median(proxy.rates.clone()), median(proxy.costs.clone())))).collect();
    println!(
        "| proxy | requests/s | p50 | p99 | CPU per request | peak memory | rate : nginx | rate : Caddy | rate : Caddy with \
         forward_auth | work per CPU : nginx |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for proxy in proxies {
        let (rate, cost) = medians[proxy.name];
        let against = |name: &str, of: fn((f64, f64), (f64, f64)) -> f64| {
            medians.get(name).map_or_else(|| "-".to_owned(), |other| format!("{:.2}", of((rate, cost), *other)))
        };
        let (by_rate, by_cost) = (
            |own: (f64, f64), other: (f64, f64)| own.0 / other.0,
            |own: (f64, f64), other: (f64, f64)| other.1 / own.1,
        );
        println!(
            "| {} | {rate:.0} | {:?} | {:?} | {cost:.1} µs | {} MiB | {} | {} | {} | {} |",
            proxy.name,
            proxy.latency.percentile(0.5),
            proxy.latency.percentile(0.99),
            proxy.program.peak_mib(),
            against("nginx", by_rate),
            against(CADDY, by_rate),
            against(CADDY_AUTHENTICATING, by_rate),
            against("nginx", by_cost),
        );
    }
}
