"""What Alembic runs: the migrations, inside the transaction of the connection that was handed in."""

from alembic import context

from openbell.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can too, once its driver is kept from committing by itself
)
context.run_migrations()
