import pytest

from openbell.core.errors import BadInput
from openbell.store.database import Database
from openbell.store.tables import Tables
from openbell.store.urls import folder, redacted


def test_a_folder_is_read_from_its_url():
    assert folder("file:///home/a%20b").path == "/home/a b"
    assert folder("s3://bucket/some//prefix/").path == "bucket/some/prefix"
    assert folder("s3://bucket/some/prefix").url == "s3://bucket/some/prefix"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("s4://bucket/x", "`s4` is not served. Did you mean `s3`?"),
        ("files:///x", "Did you mean `file`?"),
        ("/home/tables", "Write it as `file:///home/tables`."),
        ("tables", "Write `file:///absolute/folder` or `s3://bucket/prefix`."),
        ("file://tables", "with three slashes: `file:///tables`"),
        ("s3://", "names no bucket"),
        ("s3://key:hidden@bucket/x", "come from the environment"),
    ],
)
def test_a_wrong_url_of_tables_is_refused_with_its_cure(url, sentence):
    with pytest.raises(BadInput) as refused:
        Tables.open(url)
    assert sentence in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgres://me:hidden@host/x", "Did you mean `postgresql`?"),
        ("sqlit:///x", "Did you mean `sqlite`?"),
        ("journal.db", "Write `sqlite:////absolute/file.db` or"),
        ("sqlite://", "Name a file"),
        ("sqlite:///:memory:", "Name a file"),
        ("postgresql://me:hidden@host:port/x", "cannot be read as the URL of a database"),
    ],
)
def test_a_wrong_url_of_a_journal_is_refused_with_its_cure(url, sentence):
    with pytest.raises(BadInput) as refused:
        Database.open(url)
    assert sentence in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:hid@den@host/x", "postgresql://me:***@host/x"),
        ("postgresql://host/x?user=me&password=hidden&a=b", "postgresql://host/x?user=me&password=***&a=b"),
        ("redis://:hidden@host", "redis://:***@host"),
        ("sqlite:////home/x.db", "sqlite:////home/x.db"),
        ("http://host:80/a@b", "http://host:80/a@b"),
    ],
)
def test_a_password_is_never_shown(text, shown):
    assert redacted(text) == shown


def test_an_option_of_s3_that_does_not_exist_is_refused():
    with pytest.raises(BadInput, match="Did you mean `aws_region`"):
        Tables.open("s3://bucket/x", {"region": "x"})


def test_secrets_are_not_in_the_repr():
    opened = Tables.open("s3://bucket/x", {"aws_secret_access_key": "hidden"})
    assert "hidden" not in repr(opened)
