"""Every event of the page with every payload: an answer or one sentence, and no traceback."""

import json
import string

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = 3
"""Payloads for each event."""
HOSTILE = [
    "", "\0", "x" * 100_000, "../../etc/passwd", "http://127.0.0.1/", "{0}", "%s", "<script>",
    "NaN", "1e999", -1, 0, 1e308, -1e308, 2**31, 2**63, 10**400, 0.5, True, False, None,
    [], {}, [[]], [None], {"path": "/etc/passwd"}, {"path": None}, {"path": []}, {"width": -1},
    {"__type__": "update"}, {"strokes": [{}]}, {"width": 1e9, "height": 1, "strokes": []},
]  # fmt: skip
VALUES = st.recursive(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=30),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(string.ascii_letters), inner, max_size=3),
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def address(serve):
    return serve(rate=0)


@pytest.fixture(scope="module")
def page(address):
    return httpx.get(f"{address}/config").json()


@pytest.fixture(scope="module")
def raw(address, plain):
    return plain(address)


def send(address, session, body):
    """Send an event; returns what it came to: a sentence, or None where it was answered."""
    sent = json.dumps({"session_hash": session, **body}).encode("utf-8", "replace")
    kind = {"content-type": "application/json"}
    joined = httpx.post(f"{address}/gradio_api/queue/join", content=sent, headers=kind)
    if joined.status_code != 200:
        assert joined.status_code < 500
        return str(joined.json()["detail"])
    url = f"{address}/gradio_api/queue/data?session_hash={session}"
    with httpx.stream("GET", url, timeout=60) as stream:
        for line in stream.iter_lines():
            told = json.loads(line.removeprefix("data: ")) if line else {}
            if told.get("msg") == "process_completed":
                return None if told["success"] else told["output"]["error"]
            assert told.get("msg") != "unexpected_error", told


def one_sentence(said):
    assert said is None or said.strip(), "an error without a word"
    assert "\n" not in (said or "") and len(said or "") <= 600, said[:1000]
    for secret in ("Traceback", "site-packages", ".py", "Error(", "object at 0x"):
        assert secret not in (said or ""), said


def opened(address, page, raw, files, session):
    """Open a picture in a session, as the page does."""
    event = next(e for e in page["dependencies"] if e["targets"] and e["targets"][0][1] == "upload")
    file = raw.upload(files / "photo.jpg")
    body = {"fn_index": event["id"], "data": [None] * len(event["inputs"]), "event_data": file}
    return send(address, session, body)


def try_wildly(address, session, event):
    count = len(event["inputs"])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(VALUES, min_size=count, max_size=count), VALUES)
    def wild(data, event_data):
        body = {"fn_index": event["id"], "data": data, "event_data": event_data}
        one_sentence(send(address, session, body))

    wild()


@pytest.mark.parametrize("begun", [False, True], ids=["a new visitor", "a picture is open"])
def test_wild_events(address, page, raw, files, begun, capfd):
    session = f"wild{begun}"
    if begun:
        assert opened(address, page, raw, files, session) is None
    events = [event for event in page["dependencies"] if event["backend_fn"]]
    assert len(events) > 30
    for event in events:
        try_wildly(address, session, event)
    assert "Traceback" not in "".join(capfd.readouterr())
    # The visitor, and everybody else, is served as before.
    assert opened(address, page, raw, files, session) is None


@pytest.mark.parametrize(
    "body",
    [
        {}, {"fn_index": 10**9}, {"fn_index": -1}, {"fn_index": "x"}, {"fn_index": 1, "data": "x"},
        {"fn_index": 1, "data": []}, {"fn_index": 1, "data": [1] * 1000}, {"data": []},
        {"fn_index": 1, "data": [], "trigger_id": 10**9}, {"api_name": "nothing", "data": []},
        {"fn_index": 1, "data": [], "event_id": "x"}, {"fn_index": [], "data": {}},
    ],
    ids=lambda body: json.dumps(body)[:50],
)  # fmt: skip
def test_wild_envelopes(address, body, capfd):
    one_sentence(send(address, "envelope", body))
    assert "Traceback" not in "".join(capfd.readouterr())


ROUTES = ["call/fill", "call/v2/fill", "call/v2/nothing", "call/nothing", "queue/join", "cancel"]
ROUTES += ["reset", "upload", "component_server", "run/fill", "api/fill", "stream/close"]
BODIES = ["", "{", "[]", "null", "{}", '{"data": 3}', '{"data": []}', '{"nothing": 1}', "\0", "NaN"]
BODIES += ['{"picture": NaN}', '{"steps": 1e999}', "[" * 5000, '{"data": [' + "1," * 5000 + "1]}"]


@pytest.mark.parametrize("route", ROUTES)
def test_wild_requests(address, route, capfd):
    url = f"{address}/gradio_api/{route}"
    kinds = [(body, "application/json") for body in BODIES]
    kinds += [("{}", "multipart/form-data; boundary=x"), ("{}", "text/plain"), ("{}", "")]
    for body, kind in kinds:
        answer = httpx.post(url, content=body, headers={"content-type": kind}, timeout=30)
        assert answer.status_code < 500, (body[:50], kind, answer.text[:300])
        assert "Traceback" not in answer.text and "site-packages" not in answer.text
    for more in ("", "/x", "/x/y", "?session_hash=" + "x" * 3000, "/%00", "/" + "x" * 3000):
        answer = httpx.get(url + more, timeout=30)
        assert answer.status_code < 500 and "Traceback" not in answer.text
    assert "Traceback" not in "".join(capfd.readouterr())


API = st.sampled_from(
    ["task", "steps", "strength", "seed", "model", "sampler", "mask", "at", "eta"]
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(API, VALUES, min_size=1, max_size=3), st.sampled_from(["fill", "estimate"]))
def test_wild_fields_of_the_api(raw, files, values, endpoint):
    if not hasattr(raw, "picture"):
        raw.picture, raw.mask = raw.upload(files / "photo.jpg"), raw.upload(files / "mask.png")
    given = {"picture": raw.picture, "mask": raw.mask, "steps": 1, **values}
    try:
        kind, data = raw.call(endpoint, **given)[-1]
    except httpx.HTTPStatusError as error:
        assert error.response.status_code < 500
        return
    except ValueError:  # a number that JSON has not
        return
    if kind == "error":
        one_sentence(data["error"])
