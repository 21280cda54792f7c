"""The settings of the line's processes, from SIDELINE_* environment variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schemas.faults import Fatal
from settings.credentials import Credentials, problems


class Settings(Credentials):
    """One object for every process of the line; a worker reads the fields it needs.

    Lists are separated by commas. Durations are seconds.
    """

    model_config = SettingsConfigDict(env_prefix="SIDELINE_", frozen=True, extra="ignore", hide_input_in_errors=True)

    # Where the servers are. `sideline up` fills these in for the processes it starts.
    kafka_bootstrap: str = "127.0.0.1:29092"
    # A URL may hold a password, so it is not shown; unix:// and rediss:// are taken too.
    redis_decisions_url: str = Field(default="redis://127.0.0.1:29379/0", repr=False)
    redis_gallery_url: str = Field(default="redis://127.0.0.1:29380/0", repr=False)
    triton_url: str = "127.0.0.1:29001"  # host:port of Triton's gRPC endpoint
    store_id: str = Field(default="", description="Pinned by `sideline init`; a worker refuses any other store.")

    audit_key: str = Field(
        default="", repr=False, description="Secret that makes audits unpredictable; empty: the store id."
    )
    model_repository: Path = Path("triton_models")  # what Triton serves; the calibration lies beside the models
    sites_file: Path | None = None  # clocks, places and forms of ids of the sites, see settings/sites.py

    # Pictures
    image_roots: Annotated[list[Path], NoDecode] = Field(default_factory=list)
    s3_buckets: Annotated[list[str], NoDecode] = Field(default_factory=list)
    s3_endpoint: str = ""  # empty: the provider's own
    picture_processes: int = Field(default=2, ge=1, le=64)  # one hanging picture must not hold up the others
    picture_timeout_s: float = Field(default=2.5, gt=0)  # below decide_within_s, else it delays others past theirs
    picture_memory_mib: int = Field(default=1024, ge=256)
    pictures_room_mib: int = Field(default=512, ge=64)  # of fetched pictures that wait, half of it for one line

    # How long pictures are kept (sideline images expire), beyond verdict timeout and the gallery's window
    images_keep_days: float = Field(default=1.0, ge=0)
    images_keep_labelled_days: float = Field(default=28.0, ge=0)  # those people judged, from the decision on

    # Time limits
    decide_within_s: float = Field(default=3.0, gt=0)
    scan_wait_s: float = Field(default=0.4, ge=0)  # how long a capture waits for a scan that has not come
    scan_window_s: float = Field(default=30.0, gt=0)  # a scan further away than this is of another unit

    # The window of captures in work, per inspector: room for all that come within a deadline, workers/turns.py chooses
    window: int = Field(default=96, ge=1)
    partition_window: int = Field(default=48, ge=1)
    run_past_head: int = Field(default=128, ge=1)  # how many finished events may wait behind an unfinished head

    # The gallery's life: when cleared captures become references, and when references fade (docs/gallery.md)
    gallery_units: int = Field(default=5, ge=3, le=12)  # distinct units that have to agree
    gallery_associates: int = Field(default=2, ge=1)  # distinct people who cleared them
    gallery_spread_s: float = Field(default=3600.0, ge=0)  # between the first and the last of them
    gallery_window_s: float = Field(default=14 * 86_400.0, gt=0)  # how long a judged capture is remembered
    gallery_hold_s: float = Field(default=86_400.0, gt=0)  # nothing is promoted after a clearing was revised
    gallery_max_references: int = Field(default=8, ge=2, le=64)  # of a product that inspectors hold
    gallery_fade_captures: int = Field(default=1_000, ge=1)  # of the product, none nearest to the reference
    gallery_fade_s: float = Field(default=14 * 86_400.0, gt=0)  # and for so long

    # Kafka membership
    session_timeout_s: float = Field(default=6.0, ge=1.0)
    data_dir: Path = Path(".sideline/faust")
    worker_name: str = "worker"  # distinct per process: names its data folder, its logs and its metrics
    partitions: int = Field(default=4, ge=1)

    # Health
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, ge=0, le=65535)  # 0: any free port, written to the log
    log_format: Literal["json", "text"] = "json"
    log_level: str = "INFO"

    # For trying things out; never set in production.
    fault_point: str = Field(default="", description="Where the process kills itself, see streams/fault_points.py.")
    score_offset: int = Field(default=0, description="Added to every fused score, micro-log-odds (SCENARIO=flood).")

    @field_validator("redis_decisions_url", "redis_gallery_url")
    @classmethod
    def _is_a_store(cls, value: str) -> str:
        """Refuse a URL that is read otherwise than meant: parts of its password would show up as host or port."""
        try:
            parts = urlsplit(value)
            at_a_host = parts.scheme in {"redis", "rediss"} and parts.hostname and parts.port != 0
            plain = re.fullmatch(r"(/\d*)?", parts.path) and not parts.fragment
            if (at_a_host and plain) or (parts.scheme == "unix" and parts.path):
                return value
        except ValueError:
            pass  # of urlsplit; its words quote what it stumbled over
        raise ValueError(
            "is no URL of a store: redis://host:port/0, rediss:// or unix:///path; a user and password before the host "
            "are percent-encoded, / as %2F"
        )

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - pydantic checks them
        """Read the environment; `values` go first.

        Raises:
            Fatal: some of it cannot be; names the variables, never what they hold.
        """
        try:
            super().__init__(**values)
        except (ValidationError, UnicodeEncodeError) as error:
            raise Fatal(f"the settings are wrong: {problems(error)}") from None

    @field_validator("image_roots", "s3_buckets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value
