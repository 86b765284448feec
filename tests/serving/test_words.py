"""The texts of the page: the same in every language, and none left out of the translation."""

import asyncio
import json
import re

import gradio as gr
import pytest

from inpaint.tasks import TASKS
from inpaint.ui import words
from inpaint.ui.guarded import Guarded
from inpaint.ui.options import Options
from inpaint.ui.page import create_demo

MARK = re.compile(r'__i18n__\{"__type__": "translation_metadata", "key": "([\w-]+)"\}')
OTHERS = [language for language in words.LANGUAGES if language != "en"]
NAMES = {"Inpaint", "<h1>Inpaint</h1>"}
"""What is the same in every language."""


def fields(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w*\}", text))


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_text_with_its_fields(language):
    english = words.english()
    found = json.loads((words.FOLDER / f"{language}.json").read_text("utf-8"))
    assert found.keys() == english.keys()
    for key, text in found.items():
        assert text.strip() and fields(text) == fields(english[key]), key
        assert not re.search("[<>]", text), f"{key} would be read as markup"


PRETRAINED = {
    "en": "pretrained model",
    "de": "vortrainiertes Modell",
    "es": "modelo preentrenado",
    "fr": "modèle préentraîné",
    "ja": "事前学習済みモデル",
    "zh": "预训练模型",
}


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_tip_says_what_a_pretrained_model_does_better(language):
    texts, own = words.texts(language), PRETRAINED[language]
    for name in TASKS:
        tip, sentence = texts[f"task_{name}_tip"], texts[f"task_{name}_pretrained"]
        assert own.lower() in sentence.lower() and sentence in tip, name
        assert len(re.findall("[.。]", sentence)) == 1, "one sentence"
    assert not any(re.search(r"\bhub|模型库|ハブ", text, re.I) for text in texts.values())


def test_what_is_missing_is_said_in_english(monkeypatch, tmp_path):
    (tmp_path / "xx.json").write_text('{"stop": "Halt"}')
    monkeypatch.setattr(words, "FOLDER", tmp_path)
    words.texts.cache_clear()
    assert words.texts("xx")["stop"] == "Halt"
    assert words.texts("xx")["done"] == words.english()["done"]
    words.texts.cache_clear()


def test_what_goes_wrong_is_said_in_the_visitors_language():
    with Guarded() as demo:
        gr.Button().click(lambda: 1 / 0)
    french = gr.Request(headers={"accept-language": "fr-FR"})
    with pytest.raises(gr.Error) as raised:
        asyncio.run(demo.process_api(block_fn=0, inputs=[], request=french))
    assert raised.value.message == words.texts("fr")["failed"]


def test_everything_on_the_page_is_translated():
    config = create_demo(Options()).config
    marks = set()
    for component in config["components"]:
        props = component["props"]
        if component["type"] == "api":
            continue
        texts = [props.get(name) for name in ("label", "info", "placeholder")]
        if component["type"] in ("html", "button", "uploadbutton"):
            texts.append(props.get("value"))
        if component["type"] == "radio" and props["elem_id"] != "scale":
            texts += [title for title, _ in props["choices"]]
        # Gradio's names for what has no label of ours are never seen.
        hidden = {"File", "HTML", "State", "Mask Canvas", props.get("name", "").capitalize()}
        for text in texts:
            if not isinstance(text, str) or not text or text in NAMES | hidden:
                continue
            found = MARK.fullmatch(text)
            assert found, f"{component['type']} says {text!r} in English only"
            marks.add(found[1])
    assert len(marks) > 60
    english = words.english()
    for key in marks:
        assert not fields(english[key]), f"{key} has nobody to fill it in"


def test_who_is_answered_in_which_language(monkeypatch):
    class Request:
        headers = {"accept-language": "de-AT,de;q=0.9,en;q=0.8"}

    assert words.language() == "en"
    token = words.LocalContext.request.set(Request())
    try:
        assert words.say("done", time="5 s") == "Fertig in 5 s."
        Request.headers = {"accept-language": "tlh"}
        assert words.say("done", time="5 s") == "Done in 5 s."
        Request.headers = {}
        assert words.language() == "en"
    finally:
        words.LocalContext.request.reset(token)


def test_every_button_has_a_tip():
    kinds = ("button", "uploadbutton")
    found = create_demo(Options(specialise=True)).config["components"]
    buttons = {c["props"]["elem_id"] for c in found if c["type"] in kinds}
    assert buttons | {"with-recipe", "lock"} == set(words.BUTTON_TIPS)
