"""The only reader of the environment. Every setting is documented in docs/operations/settings.md (a law test compares)."""

from __future__ import annotations

import os
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from asoe.domain.errors import FieldProblem, Invalid


class Settings(BaseSettings):
    """Settings by environment variable (prefix `ASOE_`) or a `.env` file in the working directory."""

    model_config = SettingsConfigDict(env_prefix="ASOE_", env_file=".env", extra="ignore")

    data_dir: Path = Field(Path("asoe-data"), description="Where the embedded PostgreSQL and the secret key live.")
    database_url: str | None = Field(None, description="What `asoe migrate` connects with; empty: embedded PostgreSQL.")
    database_app_url: str | None = Field(None, description="What `serve` and `work` connect with, as role asoe_app.")
    database_system_url: str | None = Field(
        None, description="Connection of role asoe_system; by default the app URL with that user and the same password."
    )
    database_pool: int = Field(16, ge=2, le=200, description="Connections per process, at most.")
    database_statement_cache: int = Field(
        256, ge=0, description="Prepared statements kept per connection; 0 behind PgBouncer older than 1.21."
    )
    database_queue_url: str | None = Field(
        None, description="A direct connection for LISTEN when the app URL goes through PgBouncer."
    )
    connector_private: bool = Field(
        False, description="Whether the API may let connectors reach private addresses; the command line always may."
    )
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port the API listens on.")
    public_url: str | None = Field(None, description="How clients reach the API, for links; default http://host:port.")
    workers: int = Field(1, ge=1, le=64, description="API processes of `asoe serve`.")
    worker_concurrency: int = Field(8, ge=1, le=256, description="Journeys one worker advances at once.")
    journey_poll_seconds: float = Field(1.0, gt=0, le=60, description="How often due timers are looked for.")
    triage_budget_ms: int = Field(250, ge=0, description="Intake classifies inline when it fits; else the worker does.")
    answer_threshold: float = Field(
        0.5, ge=0, le=1, description="Chance that answering settles it, from which an answer is sent."
    )
    confidence_threshold: float = Field(0.35, ge=0, le=1, description="Category confidence below which a person sorts.")
    silence_hours: float = Field(48, gt=0, description="Client silence after an answer that closes it as contained.")
    rate_limit: str = Field("600/minute", description="Requests per API key or member, as `limits` writes them.")
    rate_limit_anonymous: str = Field("30/minute", description="Failed or missing proofs of identity per address.")
    rate_limit_widget: str = Field("120/minute", description="Requests per client of the widget; starts per address.")
    max_request_bytes: int = Field(2 * 1024 * 1024, ge=1024, description="Largest JSON request body.")
    max_attachment_bytes: int = Field(25 * 1024 * 1024, ge=1, le=25 * 1024 * 1024, description="Largest attachment.")
    key_cache_seconds: float = Field(2.0, ge=0, le=60, description="How long other processes may honor a revoked key.")
    jwt_secret: str | None = Field(None, description="HS256 secret of accepted JWTs (≥ 32 bytes).")
    jwt_jwks_url: str | None = Field(None, description="Where the asymmetric keys of accepted JWTs are published.")
    jwt_jwks_file: Path | None = Field(None, description="The same as a local file.")
    jwt_issuer: str | None = Field(None, description="Required `iss` of accepted JWTs.")
    jwt_audience: str | None = Field(None, description="Required `aud` of accepted JWTs.")
    mail_url: str | None = Field(
        None,
        description="The installation's own mail server, for forgotten passwords: smtps://user:password@host:465, "
        "smtp+starttls://… or, without TLS, smtp://…; empty: none.",
        repr=False,
    )
    mail_from: str | None = Field(None, description="The address these mails come from, with or without a name.")
    oidc_issuer: str | None = Field(None, description="The OpenID provider through which members may sign in.")
    oidc_client_id: str | None = Field(None, description="What this installation is called there.")
    oidc_client_secret: str | None = Field(None, description="Its secret there; empty: a public client.", repr=False)
    oidc_label: str = Field("your company account", description="What the sign-in page calls it.")
    cors_origins: str = Field("", description="Comma-separated origins that may call the API from a browser.")
    metrics_token: str | None = Field(None, description="Bearer token for /metrics; empty: only from loopback.")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port at which a worker answers /metrics, on ASOE_HOST; empty: it does not."
    )
    model: str | None = Field(
        None, description="Language model as provider:name (openai, anthropic, google, mistral, ollama); empty: none."
    )
    model_url: str | None = Field(None, description="Where it is, for any server that speaks the provider's protocol.")
    model_api_key: str | None = Field(None, description="The key that the model's provider wants.", repr=False)
    model_timeout_seconds: float = Field(15, gt=0, le=120, description="How long it may think before we do without.")
    model_tokens_per_day: int | None = Field(
        1_000_000, ge=0, description="Tokens an organization may use in a day (UTC), both ways; it may set itself less."
    )
    model_usd_per_day: Decimal | None = Field(
        None, ge=0, description="US dollars an organization may use in a day; without a known price nothing is asked."
    )
    model_price_in: Decimal | None = Field(None, ge=0, description="US dollars per million tokens sent.")
    model_price_out: Decimal | None = Field(None, ge=0, description="US dollars per million tokens that come back.")
    model_output: Literal["auto", "native", "tool", "prompted"] = Field(
        "auto", description="How it is made to keep to a schema; prompted: for servers that know neither other way."
    )
    trace_incoming: Literal["ignore", "link", "parent"] = Field(
        "link",
        description="What a caller's W3C traceparent is to a request's own trace; parent: only behind a gateway.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Structured JSON lines, or lines for people; auto: for people in a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: str | None) -> str | None:
        if value is not None and len(value.encode()) < 32:
            raise ValueError("must be at least 32 bytes; make one with `openssl rand -base64 48`")
        return value

    @property
    def is_embedded(self) -> bool:
        return self.database_url is None and self.database_app_url is None

    @property
    def system_url(self) -> str | None:
        if self.database_system_url or not self.database_app_url:
            return self.database_system_url
        parts = urlsplit(self.database_app_url)
        password = f":{parts.password}" if parts.password else ""
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"asoe_system{password}@{host}"))


class Telemetry(BaseSettings):
    """Those standard variables of OpenTelemetry that say whether spans are sent; the rest is read by its SDK itself."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", extra="ignore")

    sdk_disabled: bool = False
    service_name: str | None = None
    exporter_otlp_endpoint: str | None = None
    exporter_otlp_traces_endpoint: str | None = None
    exporter_otlp_metrics_endpoint: str | None = None
    exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    exporter_otlp_traces_protocol: Literal["http/protobuf"] = "http/protobuf"
    exporter_otlp_metrics_protocol: Literal["http/protobuf"] = "http/protobuf"
    traces_exporter: Literal["otlp", "none"] = "otlp"
    metrics_exporter: Literal["otlp", "none"] = "otlp"

    @property
    def wants_traces(self) -> bool:
        """Whether a collector of spans is named and nothing speaks against it."""
        is_named = bool(self.exporter_otlp_endpoint or self.exporter_otlp_traces_endpoint)
        return is_named and not self.sdk_disabled and self.traces_exporter == "otlp"

    @property
    def wants_figures(self) -> bool:
        """The same of a collector of metrics."""
        is_named = bool(self.exporter_otlp_endpoint or self.exporter_otlp_metrics_endpoint)
        return is_named and not self.sdk_disabled and self.metrics_exporter == "otlp"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Read the environment once; raises `Invalid` naming each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        raise _wrong(error, "ASOE_") from None


def telemetry() -> Telemetry:
    """What OTEL_* say now, also in the file `.env`, which the SDK does not read by itself; raises `Invalid(bad_settings)`."""
    for name, value in dotenv_values(".env").items():
        if name.startswith("OTEL_") and value is not None:
            os.environ.setdefault(name, value)
    try:
        return Telemetry()
    except ValidationError as error:
        raise _wrong(error, "OTEL_") from None


def _wrong(error: ValidationError, prefix: str) -> Invalid:
    problems = tuple(
        FieldProblem(f"{prefix}{'_'.join(str(part) for part in item['loc']).upper()}", item["msg"])
        for item in error.errors()
    )
    listed = "; ".join(f"{problem.field}: {problem.problem}" for problem in problems)
    return Invalid(f"Wrong settings in the environment: {listed}.", code="bad_settings", fields=problems)
