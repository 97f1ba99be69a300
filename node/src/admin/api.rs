//! The paths of the HTTP door: each reads its request, asks the broker one question and writes the answer down.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;

use super::answer::{Client, Cluster, Reason, Retained, SessionState, Subscription};
use super::gate::{NodeDeed, NodeRefusal, Query, Setup};
use super::page::{Page, PageAnswer, PageQuery};
use super::problem::Problem;

/// The description of the API, as it is served.
const OPENAPI: &str = include_str!("openapi.json");

type Shared = State<Arc<Setup>>;
type Url<T> = Result<UrlQuery<T>, QueryRejection>;
type Number = Result<Path<u64>, PathRejection>;
type Id = Result<Path<String>, PathRejection>;
type Answer<T> = Result<Json<T>, Problem>;

/// All paths.
pub(super) fn router(setup: Setup) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/cluster", get(cluster))
        .route("/api/v1/cluster/nodes/{node}", delete(remove))
        .route("/api/v1/cluster/nodes/{node}/drain", post(drain).delete(undrain))
        .route("/api/v1/clients", get(clients))
        .route("/api/v1/clients/{client_id}", get(client).delete(disconnect))
        .route("/api/v1/clients/{client_id}/subscriptions", get(client_subscriptions))
        .route("/api/v1/subscriptions", get(subscriptions))
        .route("/api/v1/retained", get(retained))
        .route("/api/v1/openapi.json", get(openapi))
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .with_state(Arc::new(setup))
}

impl Setup {
    /// Asks the broker and waits for the answer, but not for ever.
    async fn ask<T>(&self, query: impl FnOnce(oneshot::Sender<T>) -> Query) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        (self.gate.send)(query(reply));
        match tokio::time::timeout(self.answer_max, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Problem::unavailable("the broker is overloaded or stopping")),
            Err(_) => Err(Problem::unavailable("the broker did not answer in time")),
        }
    }
}

async fn readyz(State(setup): Shared) -> Response {
    let reasons = match setup.ask(|reply| Query::Ready { reply }).await {
        Ok(reasons) => reasons,
        Err(_) => vec![Reason { code: "no_answer".into(), detail: "the broker does not answer".into() }],
    };
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}

async fn metrics(State(setup): Shared) -> Result<Response, Problem> {
    let Some(metrics) = &setup.metrics else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "metrics are off (metrics.enabled)"));
    };
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, metrics.render()).into_response())
}

async fn cluster(State(setup): Shared) -> Answer<Cluster> {
    Ok(Json(setup.ask(|reply| Query::Cluster { reply }).await?))
}

async fn drain(State(setup): Shared, node: Number) -> Result<StatusCode, Problem> {
    deed(&setup, node, NodeDeed::Drain { on: true }).await
}

async fn undrain(State(setup): Shared, node: Number) -> Result<StatusCode, Problem> {
    deed(&setup, node, NodeDeed::Drain { on: false }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveQuery {
    #[serde(default)]
    force: bool,
}

async fn remove(State(setup): Shared, node: Number, url: Url<RemoveQuery>) -> Result<StatusCode, Problem> {
    deed(&setup, node, NodeDeed::Remove { force: checked(url)?.force }).await
}

/// Accepted: it is committed, and the cluster goes on with it by itself.
async fn deed(setup: &Setup, node: Number, deed: NodeDeed) -> Result<StatusCode, Problem> {
    let Path(node) = node.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    match setup.ask(|reply| Query::Node { node, deed, reply }).await? {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(NodeRefusal::Unknown) => {
            Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no node {node}")))
        }
        Err(NodeRefusal::Refused(why)) => Err(Problem::new(StatusCode::CONFLICT, why)),
        Err(NodeRefusal::NotServing) => {
            Err(Problem::unavailable("this node does not serve; ask another one"))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientsQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    state: Option<SessionState>,
    prefix: Option<String>,
}

async fn clients(State(setup): Shared, url: Url<ClientsQuery>) -> Answer<PageAnswer<Client>> {
    let url = checked(url)?;
    let page = PageQuery::new(url.limit, url.cursor.as_deref())?;
    let prefix = url.prefix.unwrap_or_default();
    paged(setup.ask(|reply| Query::Clients { state: url.state, prefix, page, reply }).await)
}

async fn client(State(setup): Shared, id: Id) -> Answer<Client> {
    let client_id = checked_id(id)?;
    let asked = client_id.clone();
    let client = setup.ask(|reply| Query::Client { client_id: asked, reply }).await?;
    client.map(Json).ok_or_else(|| Problem::no_client(&client_id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisconnectQuery {
    #[serde(default)]
    forget: bool,
}

async fn disconnect(State(setup): Shared, id: Id, url: Url<DisconnectQuery>) -> Result<StatusCode, Problem> {
    let client_id = checked_id(id)?;
    let forget = checked(url)?.forget;
    let asked = client_id.clone();
    if setup.ask(|reply| Query::Disconnect { client_id: asked, forget, reply }).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::no_client(&client_id))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlyPageQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn client_subscriptions(
    State(setup): Shared,
    id: Id,
    url: Url<OnlyPageQuery>,
) -> Answer<PageAnswer<Subscription>> {
    let client_id = checked_id(id)?;
    let url = checked(url)?;
    let page = PageQuery::new(url.limit, url.cursor.as_deref())?;
    let asked = client_id.clone();
    let found = setup.ask(|reply| Query::ClientSubscriptions { client_id: asked, page, reply }).await?;
    paged(found.ok_or_else(|| Problem::no_client(&client_id)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscriptionsQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    filter: Option<String>,
    topic: Option<String>,
}

async fn subscriptions(
    State(setup): Shared,
    url: Url<SubscriptionsQuery>,
) -> Answer<PageAnswer<Subscription>> {
    let SubscriptionsQuery { limit, cursor, filter, topic } = checked(url)?;
    let page = PageQuery::new(limit, cursor.as_deref())?;
    paged(setup.ask(|reply| Query::Subscriptions { filter, topic, page, reply }).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetainedQuery {
    limit: Option<usize>,
    cursor: Option<String>,
    filter: Option<String>,
}

async fn retained(State(setup): Shared, url: Url<RetainedQuery>) -> Answer<PageAnswer<Retained>> {
    let RetainedQuery { limit, cursor, filter } = checked(url)?;
    let page = PageQuery::new(limit, cursor.as_deref())?;
    paged(setup.ask(|reply| Query::Retained { filter, page, reply }).await)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn no_path(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}

async fn no_method(uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take this method", uri.path()))
}

fn checked<T: DeserializeOwned>(url: Url<T>) -> Result<T, Problem> {
    url.map(|UrlQuery(query)| query).map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

fn checked_id(id: Id) -> Result<String, Problem> {
    id.map(|Path(id)| id).map_err(|rejection| Problem::bad_request(rejection.body_text()))
}

fn paged<T>(page: Result<Page<T>, Problem>) -> Answer<PageAnswer<T>> {
    Ok(Json(page?.into()))
}
