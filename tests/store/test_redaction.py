import pytest

from openbell.core.errors import BadInput
from openbell.store.redaction import refuse_secrets, seems_secret


@pytest.mark.parametrize("key", ["password", "smtpPassword", "API-KEY", "apikey", "aws_secret_access_key", "x.token"])
def test_names_of_secrets(key):
    assert seems_secret(key)


@pytest.mark.parametrize(
    "key", ["key", "tokenized", "secretary", "KEY", "PASS", "monkey", "keyword", "idempotency_key"]
)
def test_names_that_are_none(key):
    assert not seems_secret(key)


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"settings": {"mail": {"password": "hunter2"}}}, "payload.settings.mail.password"),
        ({"tokens": ["hunter2"]}, "payload.tokens[0]"),
        ({"credentials": {"user": "hunter2"}}, "payload.credentials.user"),
        ({"tried": [{"url": "postgresql://me:hunter2@host/x"}]}, "payload.tried[0].url"),
        ({"note": "-----BEGIN RSA PRIVATE KEY-----hunter2"}, "payload.note"),
        ({"note": "Authorization: Bearer hunter2hunter2hunter2"}, "payload.note"),
    ],
)
def test_a_secret_is_refused_by_its_place_and_not_shown(payload, place):
    with pytest.raises(BadInput) as refused:
        refuse_secrets(payload)
    assert f"`{place}`" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_what_is_hidden_or_no_text_passes():
    refuse_secrets(
        {"password": "***", "token": None, "tokens": 12, "secret": True, "api_key": "", "url": "a://u:***@h"}
    )
    refuse_secrets(
        {"weights": {"KEY": 0.1, "PASS": 0.2}, "key": "order-1", "why": "bearer of news", "at": "10:15@open"}
    )


def test_keys_that_would_fall_together_are_refused():
    with pytest.raises(BadInput, match="the same when written as text"):
        refuse_secrets({"a": {1: "x", "1": "y"}})
