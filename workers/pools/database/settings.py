"""Where a pool keeps its rows: read from the environment, and opened."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers.pools.database.database import Database, Preparation
from workers.pools.database.errors import DatabaseMisconfigured
from workers.pools.database.sqlite import SqliteDatabase

__all__ = ["DatabaseSettings", "open_database"]


class DatabaseSettings(BaseSettings):
    """Where a pool keeps its rows. A pool's own settings derive from it and give their `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    database_url: SecretStr | None = None
    """`postgresql://…`, or `sqlite:///` and an absolute path. None, the default: a SQLite file in `data_dir`."""
    data_dir: Path = Field(
        default_factory=lambda: Path.home() / ".local" / "share" / "trunkline", validation_alias="TRUNKLINE_DATA_DIR"
    )
    """The folder of SQLite files, made when first needed. Default: `~/.local/share/trunkline`."""


def open_database(settings: DatabaseSettings, *, file_name: str, prepare: Preparation) -> Database:
    """The database that `settings` name. Nothing is opened before its first statement.

    Args:
        settings: Where the rows are.
        file_name: The SQLite file in the data folder, if there is no URL.
        prepare: Run on a SQLite file only. In a PostgreSQL database nothing is created without being asked for.

    Raises:
        DatabaseMisconfigured: the URL names no database that we know, or its driver is not installed.
    """
    if settings.database_url is None:
        return SqliteDatabase(settings.data_dir / file_name, prepare=prepare)
    url = settings.database_url.get_secret_value()
    scheme, separator, rest = url.partition("://")
    match scheme:
        case "postgresql" | "postgres" if separator:
            return _postgres(url)
        case "sqlite" if rest.startswith("/"):
            return SqliteDatabase(Path(rest), prepare=prepare)
        case _:
            raise DatabaseMisconfigured("A database URL is postgresql://… or sqlite:/// and an absolute path")


def _postgres(url: str) -> Database:
    try:
        # Imported here because the driver is an extra that most installations do without.
        from workers.pools.database.postgresql import PostgresDatabase
    except ImportError as error:
        raise DatabaseMisconfigured(
            "A postgresql:// URL needs its driver: pip install 'trunkline[postgres]'"
        ) from error
    return PostgresDatabase(url)
