"""Clips are made here, so that what is behind every hole is known."""

import json
import struct
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
from PIL import Image

import inpaint
from inpaint import masks, pictures, video
from inpaint.masks import Stroke, Strokes
from inpaint.metrics import psnr
from inpaint.pictures import Picture, PictureError
from inpaint.video import Stopped, motion
from inpaint.video.clips import masks_of, open_clip, planes

SIZE = (96, 80)
LOGO = np.zeros(SIZE[::-1], bool)
LOGO[10:26, 56:84] = True
FAST = {"steps": 2, "device": "cpu"}


def texture(width, height, seed=0):
    """Draw blotches of several sizes: something to see, and to follow."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cell in (4, 9, 20):
        noise = rng.normal(0, 1, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return (128 + 36 * total).clip(0, 255).astype(np.uint8)


WIDE = texture(200, 120)


def panned(count, speed=3):
    return [WIDE[20:100, 10 + speed * t : 106 + speed * t].copy() for t in range(count)]


def with_logo(frames):
    frames = [frame.copy() for frame in frames]
    for frame in frames:
        frame[LOGO] = frame[LOGO] // 8 + np.array([200, 20, 20], np.uint8)
    return frames


def save_folder(folder, frames):
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame-{number}.png")
    return folder


def load_folder(folder, count):
    return [np.asarray(Image.open(folder / f"frame-{number}.png")) for number in range(count)]


def save_video(
    path,
    frames,
    *,
    codec="libx264",
    format="yuv420p",
    rate=25,
    times=None,
    options=None,
    sound=0,
    texts=None,
    about=None,
):
    """Write a video; `times` are in thousandths of a second, `sound` is in seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *frames[0].shape[1::-1], format
        stream.metadata.update(texts or {})
        container.metadata.update(about or {})
        if times:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if sound:
            track = container.add_stream("aac", rate=48000, layout="mono")
            for start in range(0, int(sound * 48000), 1024):
                wave = np.sin(np.arange(start, start + 1024) / 40).astype(np.float32)
                part = av.AudioFrame.from_ndarray(wave[None], "fltp", "mono")
                part.sample_rate, part.pts = 48000, start
                container.mux(track.encode(part))
            container.mux(track.encode(None))
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=format)
            if times:
                picture.pts, picture.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def decoded(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def in_rgb(path):
    return [frame.to_ndarray(format="rgb24") for frame in decoded(path)]


def sound_of(path):
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.size]
        return [bytes(p) for p in packets], [p.pts * p.time_base for p in packets]


def quality(truth, frames, holes):
    """PSNR in the holes; a hole is what `edit` makes of a mask."""
    scores = [
        psnr(a / 255.0, b / 255.0, masks.grow(hole, 3))
        for a, b, hole in zip(truth, frames, holes, strict=True)
    ]
    return float(np.mean(scores))


def flicker(frames, holes, speed=0):
    """Mean change in the hole from frame to frame, of a scene that moves by `speed` to the left."""
    changes = [
        np.abs(np.roll(a, -speed, 1).astype(float) - b)[masks.grow(hole, 3)].mean()
        for (a, b), hole in zip(pairwise(frames), holes[1:], strict=True)
    ]
    return float(np.mean(changes))


def one_by_one(frames, holes):
    return [
        inpaint.edit(f, hole, steps=4, device="cpu").picture.pixels
        for f, hole in zip(frames, holes, strict=True)
    ]


# What it is for


def test_a_logo_over_a_moving_scene_gives_way_to_what_other_frames_show(tmp_path):
    truth, count = panned(12), 12
    frames, holes = with_logo(truth), [LOGO] * count
    result = video.edit(save_folder(tmp_path / "in", frames), LOGO, tmp_path / "out", steps=4)
    some = slice(4, 8)  # enough, and inventing every frame takes its time
    ours, holes = load_folder(tmp_path / "out", count)[some], holes[some]
    alone = one_by_one(frames[some], holes)
    assert quality(truth[some], ours, holes) > quality(truth[some], alone, holes) + 8
    assert flicker(ours, holes, 3) < flicker(alone, holes, 3) / 3
    assert result.borrowed > 0.9 and result.frames == count and result.finished
    assert result.borrowed + result.carried + result.invented == pytest.approx(1)
    # Its own measure, of motion that it finds itself, sees that too.
    assert result.flicker < result.flicker_before / 3


def test_a_thing_that_moves_gives_way_to_the_still_scene_behind_it(tmp_path):
    count, rng = 10, np.random.default_rng(1)
    still = WIDE[:80, :96].astype(float)
    y, x = np.mgrid[:80, :96]
    truth = [still + rng.normal(0, 2, still.shape) for _ in range(count)]
    truth = [frame.clip(0, 255).astype(np.uint8) for frame in truth]
    holes = [(x - 20 - 6 * t) ** 2 + (y - 40) ** 2 < 100 for t in range(count)]
    red = np.uint8([200, 60, 60])
    frames = [np.where(h[..., None], red, f) for f, h in zip(truth, holes, strict=True)]
    source = save_folder(tmp_path / "in", frames)
    mask = save_folder(tmp_path / "masks", [hole.astype(np.uint8) * 255 for hole in holes])
    result = video.edit(source, mask, tmp_path / "out", steps=4)
    ours = load_folder(tmp_path / "out", count)
    alone = one_by_one(frames[:4], holes[:4])
    assert quality(truth, ours, holes) > 30
    assert quality(truth[:4], ours[:4], holes[:4]) > quality(truth[:4], alone, holes[:4]) + 8
    assert result.borrowed > 0.95


def test_where_nothing_moves_one_invention_serves_all_frames(tmp_path):
    rng, count = np.random.default_rng(2), 8
    still = WIDE[:80, :96].astype(float)
    noisy = [still + rng.normal(0, 3, still.shape) for _ in range(count)]
    noisy = [frame.clip(0, 255).astype(np.uint8) for frame in noisy]
    frames, holes = with_logo(noisy), [LOGO] * count
    result = video.edit(save_folder(tmp_path / "in", frames), LOGO, tmp_path / "out", steps=4)
    ours, alone = load_folder(tmp_path / "out", count), one_by_one(frames[:4], holes[:4])
    assert flicker(ours, holes) < flicker(alone, holes[:4]) / 3
    assert result.invented < 2 / count and result.carried > 1 - 2 / count


def test_what_was_invented_outlasts_the_reach(tmp_path):
    source = save_folder(tmp_path / "in", with_logo([WIDE[:80, :96]] * 5))
    result = video.edit(source, LOGO, tmp_path / "out", reach=2, **FAST)
    assert result.invented == pytest.approx(1 / 5) and result.flicker == 0


def test_what_was_invented_moves_and_fades_with_the_scene(tmp_path):
    light = np.linspace(1, 0.7, 8)
    frames = [np.rint(f * k).astype(np.uint8) for f, k in zip(panned(8, 1), light, strict=True)]
    source = save_folder(tmp_path / "in", with_logo(frames))
    assert video.edit(source, LOGO, tmp_path / "out", **FAST).carried > 0.5
    first, *_, last = (frame.astype(float) for frame in load_folder(tmp_path / "out", 8))
    was, now = first[12:24, 68:82], last[12:24, 61:75]  # 7 pixels further left
    assert np.corrcoef(was.ravel(), now.ravel())[0, 1] > 0.9
    assert now.mean() / was.mean() == pytest.approx(0.7, abs=0.06)


def test_what_was_invented_stays_as_sharp_as_it_was(tmp_path):
    grain = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 60, WIDE.shape), (0, 0), 0.8)
    scene = (WIDE + grain).clip(0, 255).astype(np.uint8)
    frames = []
    for t in range(25):  # a camera that trembles
        way = np.float32([[1, 0, -10 - 0.4 * np.sin(1.7 * t)], [0, 1, -20 - 0.4 * np.cos(2.3 * t)]])
        frames.append(cv2.warpAffine(scene, way, SIZE, flags=cv2.INTER_CUBIC))
    source = save_folder(tmp_path / "in", with_logo(frames))
    assert video.edit(source, LOGO, tmp_path / "out", reach=4, **FAST).carried > 0.8
    middle = np.s_[14:22, 64:76]
    detail = [
        cv2.Laplacian(frame[middle].astype(float), -1).std()
        for frame in load_folder(tmp_path / "out", 25)
    ]
    early, late = np.mean(detail[1:5]), np.mean(detail[-4:])  # both moved: one interpolation
    assert 0.8 < late / early < 1.2


def test_where_motion_cannot_be_followed_the_frame_before_is_the_guess(tmp_path):
    frames = []
    for number in range(5):  # a scene that boils around the logo
        frame, new = WIDE[:80, :96].copy(), texture(56, 40, 100 + number)
        frame[:40, 40:] = (128 + 0.7 * (frame[:40, 40:] - 128.0) + 0.7 * (new - 128.0)).clip(0, 255)
        frames.append(frame)
    source, holes = save_folder(tmp_path / "in", with_logo(frames)), [LOGO] * 5
    result = video.edit(source, LOGO, tmp_path / "out", **FAST)
    assert result.invented > 0.3
    ours = load_folder(tmp_path / "out", 5)
    assert flicker(ours, holes) < 0.42 * flicker(frames, holes)


def test_a_change_of_light_is_followed(tmp_path):
    light = np.linspace(1, 0.6, 12)
    truth = [np.rint(f * k).astype(np.uint8) for f, k in zip(panned(12, 6), light, strict=True)]
    video.edit(save_folder(tmp_path / "in", with_logo(truth)), LOGO, tmp_path / "out", **FAST)
    for frame, ours in zip(truth[3:-3], load_folder(tmp_path / "out", 12)[3:-3], strict=True):
        assert abs(ours[LOGO].mean() - frame[LOGO].mean()) < 4


def test_nothing_is_borrowed_across_a_cut(tmp_path):
    shots = [texture(96, 80, seed) for seed in (5, 6)]
    source = save_folder(tmp_path / "in", with_logo([shots[0]] * 2 + [shots[1]] * 2))
    result = video.edit(source, LOGO, tmp_path / "out", **FAST)
    assert result.borrowed == 0
    assert result.invented == pytest.approx(0.5) and result.carried == pytest.approx(0.5)


def test_motion_is_continued_into_holes():
    frames = with_logo(panned(2, 5))
    ahead, back = motion.between(*frames, LOGO, LOGO, (0, 0, *SIZE))
    for way, sign in ((ahead, -1), (back, 1)):
        assert np.abs(way.flow[LOGO] - [5 * sign, 0]).max() < 0.3
        assert way.trusted[LOGO].all()
    other = texture(*SIZE, seed=9)
    assert motion.between(frames[0], other, LOGO, LOGO, (0, 0, *SIZE)) is None
    assert motion.between(*(f[:12] for f in frames), *[LOGO[:12]] * 2, (0, 0, 96, 12)) is None


# What it leaves alone


@pytest.mark.parametrize("kind", ["rgb", "grey", "rgba", "16 bit"])
def test_pictures_keep_every_byte_outside(tmp_path, kind):
    folder, change = tmp_path / "in", np.random.default_rng(0).integers(0, 256, (80, 96), np.uint8)
    folder.mkdir()
    before = []
    for number, frame in enumerate(with_logo(panned(3, 8))):
        picture = {
            "rgb": Picture(frame),
            "grey": Picture(frame[..., :1]),
            "rgba": Picture(frame, change),
            "16 bit": Picture(frame.astype(np.uint16) * 256 + change[..., None]),
        }[kind]
        before.append(pictures.read(pictures.write(picture, folder / f"{number:03}.png")))
    video.edit(folder, LOGO, tmp_path / "out", **FAST)
    outside = ~masks.grow(LOGO, 3)
    for number, old in enumerate(before):
        new = pictures.read(tmp_path / "out" / f"{number:03}.png")
        assert new.pixels.dtype == old.pixels.dtype and new.pixels.shape == old.pixels.shape
        assert np.array_equal(new.pixels[outside], old.pixels[outside])
        assert not np.array_equal(new.pixels[LOGO], old.pixels[LOGO])
        if old.alpha is not None:  # what is filled on transparent ground is seen
            clear = ~outside & (old.alpha < 128)
            assert np.array_equal(new.alpha, np.where(clear, 255, old.alpha))


def test_what_is_filled_on_transparent_ground_is_the_fill_whole(tmp_path):
    hole, folder = masks.grow(LOGO, 3), tmp_path / "in"
    folder.mkdir()
    for number, frame in enumerate(panned(3, 8)):
        frame[hole] = [255, 0, 255]  # hidden, and no colour of the scene
        clear = np.where(hole, 0, 255).astype(np.uint8)
        pictures.write(Picture(frame, clear), folder / f"{number}.png")
    video.edit(folder, LOGO, tmp_path / "out", **FAST)
    for path in (tmp_path / "out").iterdir():
        made = pictures.read(path)
        assert (made.alpha == 255).all()
        red, green, blue = made.pixels[hole].astype(int).T
        assert (np.minimum(red, blue) - green).max() < 150


@pytest.mark.parametrize(
    "name, codec, format, out",
    [
        ("a.mp4", "libx264", "yuv420p", "out.mp4"),
        ("a.mkv", "ffv1", "yuv420p10le", "out.mkv"),
        ("a.mkv", "ffv1", "yuv422p", "out.mp4"),
        ("a.mkv", "libvpx-vp9", "gbrp", "out.mkv"),
        ("a.webm", "libvpx-vp9", "yuv420p", "out.webm"),
    ],
)
def test_without_loss_a_video_keeps_every_sample_outside(tmp_path, name, codec, format, out):
    source = save_video(tmp_path / name, with_logo(panned(5, 8)), codec=codec, format=format)
    result = video.edit(source, LOGO, tmp_path / out, lossless=True, reach=1, **FAST)
    assert result.notes == ()
    for old, new in zip(decoded(source), decoded(tmp_path / out), strict=True):
        assert new.format.name == old.format.name == format
        for one, other in zip(planes(old), planes(new), strict=True):
            scale = SIZE[1] // one.shape[0], SIZE[0] // one.shape[1]
            hole = masks.grow(LOGO, 3).reshape(one.shape[0], scale[0], one.shape[1], scale[1])
            hole = hole.any(axis=(1, 3))  # a sample of chroma belongs to several pixels
            assert np.array_equal(one[~hole], other[~hole])
            assert not np.array_equal(one[hole], other[hole])


def test_times_sound_and_texts_are_kept(tmp_path):
    rate = Fraction(30000, 1001)
    source = save_video(tmp_path / "in.mp4", with_logo(panned(12)), rate=rate, sound=0.4)
    result = video.edit(source, LOGO, tmp_path / "out.mp4", reach=3, **FAST)
    before, after = decoded(source), decoded(tmp_path / "out.mp4")
    assert result.frames == len(after) == 12
    assert [f.pts * f.time_base for f in after] == [f.pts * f.time_base for f in before]
    assert (after[0].width, after[0].height) == SIZE
    assert sound_of(tmp_path / "out.mp4") == sound_of(source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == rate
        assert '"task": "video"' in container.metadata["comment"]
    assert not list(tmp_path.glob(".*"))


def test_subtitles_and_chapters_are_kept_where_they_can_be(tmp_path):
    plain = save_video(tmp_path / "plain.mkv", with_logo(panned(3, 8)))
    source = tmp_path / "in.mkv"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        shown = new.add_stream_from_template(old.streams.video[0], opaque=True)
        said = new.add_mux_stream("subrip")
        thousandth = said.time_base = Fraction(1, 1000)
        new.metadata["title"] = "A day"
        chapter = {"id": 1, "start": 0, "end": 80, "time_base": thousandth}
        new.set_chapters([{**chapter, "metadata": {"title": "Morning"}}])
        for packet in old.demux():
            if packet.size:
                packet.stream = shown
                new.mux(packet)
        line = av.Packet(b"Hello")
        line.pts, line.dts, line.duration, line.time_base = 40, 40, 40, thousandth
        line.stream = said
        new.mux(line)
    assert video.edit(source, LOGO, tmp_path / "out.mkv", **FAST).notes == ()
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.metadata["title"] == "A day"
        assert [c["metadata"]["title"] for c in container.chapters()] == ["Morning"]
        assert [bytes(p) for p in container.demux(subtitles=0) if p.size] == [b"Hello"]
    (note,) = video.edit(source, LOGO, tmp_path / "out.mp4", **FAST).notes
    assert note.startswith("The subtitles (subrip) cannot be kept in .mp4")
    for _ in "12":  # FFmpeg reads MP4's chapters as a track, too
        assert video.edit(tmp_path / "out.mp4", LOGO, tmp_path / "out.mp4", **FAST).notes == ()


def test_tracks_that_are_left_out_are_named_and_never_overwritten(tmp_path):
    plain = save_video(tmp_path / "plain.mkv", with_logo(panned(2)))
    cover = tmp_path / "cover.jpg"
    Image.fromarray(WIDE).save(cover)
    source = tmp_path / "in.mkv"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        shown, other = (new.add_stream_from_template(old.streams.video[0]) for _ in "12")
        new.add_attachment("letters.ttf", "application/x-truetype-font", b"letters")
        new.add_attachment("cover.jpg", "image/jpeg", cover.read_bytes())
        for packet in old.demux():
            if packet.size:
                for track in (shown, other):
                    packet.stream = track
                    new.mux(packet)
    told = {f"The {what} is left out." for what in ("further video track", "attachment")}
    told.add("The cover picture is left out.")
    before = source.read_bytes()
    assert set(video.edit(source, LOGO, tmp_path / "out.mkv", **FAST).notes) == told
    with pytest.raises(PictureError, match="holds more than would be left of it: The further"):
        video.edit(source, LOGO, source, **FAST)
    assert source.read_bytes() == before and not list(tmp_path.glob(".*"))


def test_a_clip_may_be_overwritten_through_a_link_where_nothing_is_lost(tmp_path):
    source = save_video(
        *(tmp_path / "in.mp4", with_logo(panned(2))), sound=0.1, texts={"timecode": "01:00:00:00"}
    )
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    before = source.read_bytes()
    for seed in (1, 2):  # its own time code comes back as a track
        assert video.edit(source, LOGO, link, **FAST, seed=seed).notes == ()
        assert link.is_symlink() and source.read_bytes() != before
        before = source.read_bytes()
    assert not list(tmp_path.glob(".*"))


def about(path):
    with av.open(str(path)) as container:
        return {name.lower(): text for name, text in container.metadata.items()}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_the_comment_is_the_recipe_and_what_it_was_moves_on(tmp_path, suffix):
    told = {"comment": "https://example.org"}
    source = save_video(tmp_path / f"in.{suffix}", with_logo(panned(2)), about=told)
    once, twice = (tmp_path / f"{name}.{suffix}" for name in ("once", "twice"))
    result = video.edit(source, LOGO, once, **FAST)
    lost = ("The clip's comment gives way to the recipe.",) * (suffix == "mov")
    assert result.notes == lost
    assert about(once)["comment"] == json.dumps(result.recipe)
    assert about(once).get("description") == (None if lost else "https://example.org")
    result = video.edit(once, LOGO, twice, **FAST, seed=5)
    assert result.notes == () and about(twice)["comment"] == json.dumps(result.recipe)
    assert about(twice).get("description") == about(once).get("description")


def test_a_comment_that_finds_no_place_is_named(tmp_path):
    told = {"comment": "mine", "description": "a day"}
    source = save_video(tmp_path / "in.mp4", with_logo(panned(2)), about=told)
    result = video.edit(source, LOGO, tmp_path / "out.mp4", **FAST)
    assert result.notes == ("The clip's comment gives way to the recipe.",)
    assert about(tmp_path / "out.mp4")["description"] == "a day"


def test_the_longest_name_is_written(tmp_path):
    source = save_video(tmp_path / "in.mp4", with_logo(panned(2)))
    out = tmp_path / ("a" * 251 + ".mkv")
    assert video.edit(source, LOGO, out, **FAST).path == out and out.exists()


def test_a_variable_rate_is_kept(tmp_path):
    times = [0, 40, 50, 133, 500]
    frames = with_logo(panned(5, 8))
    source = save_video(tmp_path / "in.mkv", frames, times=times)
    for out in ("out.mkv", "out.mp4", "out.webm"):
        video.edit(source, LOGO, tmp_path / out, **FAST)
        assert [round(1000 * f.time) for f in decoded(tmp_path / out)] == times


def test_the_last_frame_is_shown_as_long_as_it_was(tmp_path):
    first, *rest = [Image.fromarray(frame) for frame in with_logo(panned(4, 8))]
    first.save(
        tmp_path / "in.gif", save_all=True, append_images=rest, duration=[100, 300, 100, 2000]
    )
    for out in ("out.mp4", "out.webm"):
        result = video.edit(tmp_path / "in.gif", LOGO, tmp_path / out, **FAST)
        assert result.notes == ("Transparency is not kept.",)
        with av.open(str(tmp_path / out)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        times = sorted(round(1000 * packet.pts * packet.time_base) for packet in packets)
        assert times == [0, 100, 400, 500]
        last = max(packets, key=lambda packet: packet.pts)
        assert round(1000 * last.duration * last.time_base) == 2000


def test_a_sound_clip_is_not_called_damaged(tmp_path):
    frames = with_logo(panned(4, 8))
    longer = save_video(tmp_path / "longer.mp4", frames, rate=10, sound=1.2)
    uneven = save_video(tmp_path / "uneven.mkv", frames, times=[0, 40, 50, 4000])
    for source in (longer, uneven):
        assert video.edit(source, LOGO, tmp_path / "out.mkv", **FAST).notes == ()


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p"])
def test_a_clip_stored_lying_is_upright_afterwards(tmp_path, format):
    source = save_video(tmp_path / "in.mp4", with_logo(panned(3, 8)), format=format)
    data = bytearray(source.read_bytes())
    matrix = data.index(b"tkhd") + 44  # behind its name, version, times and flags
    turn = [0, 1, 0, -1, 0, 0, SIZE[1], 0, 1]  # a quarter clockwise
    ones = [1 << 16, 1 << 16, 1 << 30] * 3
    struct.pack_into(">9i", data, matrix, *(a * b for a, b in zip(turn, ones, strict=True)))
    source.write_bytes(data)
    upright = np.rot90(LOGO, -1)
    result = video.edit(source, upright, tmp_path / "out.mp4", lossless=True, **FAST)
    assert "upright" in result.notes[0]
    outside = ~masks.grow(upright, 3)
    for old, new in zip(decoded(source), decoded(tmp_path / "out.mp4"), strict=True):
        assert old.rotation and not new.rotation
        assert (new.width, new.height) == SIZE[::-1]
        assert np.array_equal(np.rot90(planes(old)[0], -1)[outside], planes(new)[0][outside])


def test_odd_sizes_and_a_single_frame(tmp_path):
    frame = np.ascontiguousarray(with_logo(panned(1))[0][:79, :95])
    source = save_video(tmp_path / "in.mkv", [frame], codec="ffv1")
    (frame,) = in_rgb(source)
    for out in ("out.mp4", "out.mkv", "out.webm"):
        assert video.edit(source, LOGO[:79, :95], tmp_path / out, **FAST).frames == 1
        (shown,) = decoded(tmp_path / out)
        assert (shown.width, shown.height) == (95, 79)
        colours = shown.to_ndarray(format="rgb24")
        assert psnr(frame / 255.0, colours / 255.0, ~masks.grow(LOGO[:79, :95], 4)) > 32


def test_more_than_eight_bits_and_transparency(tmp_path):
    frames = with_logo(panned(2, 8))
    deep = save_video(tmp_path / "deep.mkv", frames, codec="ffv1", format="yuv420p10le")
    assert video.edit(deep, LOGO, tmp_path / "deep.mp4", **FAST).notes == ()
    assert decoded(tmp_path / "deep.mp4")[0].format.name == "yuv420p10le"
    clear = save_video(tmp_path / "clear.mkv", frames, codec="ffv1", format="yuva420p")
    assert "Transparency" in video.edit(clear, LOGO, tmp_path / "clear.mp4", **FAST).notes[0]
    marked = save_video(
        tmp_path / "marked.webm", frames, codec="libvpx-vp9", texts={"alpha_mode": "1"}
    )
    result = video.edit(marked, LOGO, tmp_path / "out.webm", **FAST)
    assert result.notes == ("Transparency is not kept.",)
    with av.open(str(tmp_path / "out.webm")) as container:
        assert "ALPHA_MODE" not in container.streams.video[0].metadata


# How it works


def test_frames_are_written_while_later_ones_are_not_yet_read(tmp_path):
    source = save_folder(tmp_path / "in", with_logo(panned(9, 8)))
    (source / "frame-8.png").write_bytes(b"no picture")
    with pytest.raises(PictureError):
        video.edit(source, LOGO, tmp_path / "out", reach=2, **FAST)
    assert len(list((tmp_path / "out").iterdir())) == 6


def test_stop_leaves_a_shorter_clip_that_plays(tmp_path):
    source = save_video(tmp_path / "in.mp4", with_logo(panned(10)), sound=0.4)
    moments = []

    def stop(moment):
        moments.append(moment)
        if moment.number == 4:
            raise Stopped

    result = video.edit(source, LOGO, tmp_path / "out.mp4", progress=stop, **FAST)
    assert not result.finished and result.frames == len(decoded(tmp_path / "out.mp4")) == 4
    assert max(sound_of(tmp_path / "out.mp4")[1]) <= 3 / 25
    assert {moment.total for moment in moments} == {10}
    assert moments[-1].preview().shape == (80, 96, 3) and moments[-1].seconds_left > 0


def test_stop_is_heard_while_a_frame_is_being_filled(tmp_path):
    source = save_video(tmp_path / "in.mp4", with_logo([WIDE[:80, :96]] * 3))
    calls = []

    def stop(moment):
        calls.append(moment.stage)
        raise Stopped

    with pytest.raises(PictureError, match="before the first frame"):
        video.edit(source, LOGO, tmp_path / "out.mp4", progress=stop, **FAST)
    assert calls == ["inventing what no frame shows"]
    assert [file.name for file in tmp_path.iterdir()] == ["in.mp4"]


def test_masks_of_every_kind_are_one(tmp_path):
    white = LOGO.astype(np.uint8) * 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    corners = ((56.0, 10.0), (84.0, 26.0))
    kinds = [
        LOGO,
        tmp_path / "mask.png",
        Strokes(SIZE, (Stroke("rectangle", points=corners),)),
        save_folder(tmp_path / "masks", [white] * 2),
        save_video(tmp_path / "mask.mkv", [np.dstack([white] * 3)] * 2),
    ]
    for kind in kinds:
        found, count = masks_of(kind, SIZE)
        assert count in (0, 2)
        assert all(np.array_equal(next(found), LOGO) for _ in range(2))
        found, _ = masks_of(kind, (192, 160))  # as large as the clip
        assert np.array_equal(next(found), LOGO.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("clear", [False, True])
def test_an_animated_gif_holds_a_mask_for_each_frame(tmp_path, clear):
    holes = [np.roll(LOGO, 9 * t, 0) for t in range(3)] + [np.zeros_like(LOGO)]
    frames = [np.dstack([np.uint8(255) * hole] * (4 if clear else 3)) for hole in holes]
    first, *rest = map(Image.fromarray, frames)
    first.save(tmp_path / "m.gif", save_all=True, append_images=rest, disposal=2)
    found, count = masks_of(tmp_path / "m.gif", SIZE)
    assert count == 4 and np.array_equal(list(found), holes)


@pytest.mark.parametrize("name", ["m.webp", "m.tif"])
def test_several_pictures_in_a_file_are_no_masks_of_frames(tmp_path, name):
    first, second = (Image.fromarray(np.uint8(255) * np.roll(LOGO, t, 0)) for t in (0, 9))
    first.save(tmp_path / name, save_all=True, append_images=[second], lossless=True)
    with pytest.raises(PictureError, match="several pages or frames"):
        masks_of(tmp_path / name, SIZE)


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    folder = tmp_path / "in"
    save_folder(folder, [np.full((8, 8, 3), 9 * n, np.uint8) for n in range(12)])
    values = [frame.pixels[0, 0, 0] for frame in open_clip(folder).frames()]
    assert values == [9 * n for n in range(12)]


def with_a_damaged_frame(path, frames, number):
    """Write a video of which one frame cannot be decoded."""
    save_video(path, frames, codec="mjpeg", format="yuvj420p")
    with av.open(str(path)) as container:
        packet = bytes([p for p in container.demux(video=0) if p.size][number])
    path.write_bytes(path.read_bytes().replace(packet, bytes(len(packet))))
    return path


def test_what_was_filled_is_marked_for_each_frame(tmp_path):
    frames = with_logo(panned(4))
    source, out, marks = save_folder(tmp_path / "in", frames), tmp_path / "out", tmp_path / "m"
    video.edit(source, LOGO, out, mask_out=marks, **FAST, grow=2)
    made = sorted(marks.iterdir())
    assert [path.name for path in made] == [f"00000{n}.png" for n in range(1, 5)]
    for before, after, path in zip(frames, load_folder(out, 4), made, strict=True):
        mask = np.asarray(Image.open(path)) == 255
        changed = (before != after).any(axis=2)
        assert np.array_equal(mask, masks.grow(LOGO, 2))
        assert changed.any() and not (changed & ~mask).any()
    holes, count = masks_of(marks, SIZE)  # as they are they can be given as masks again
    assert count == 4 and np.array_equal(next(holes), mask)
    for folder, told in ((marks, "something in"), (tmp_path / "o", "another"), ("m.mp4", "folder")):
        with pytest.raises(ValueError, match=told):
            video.edit(source, LOGO, tmp_path / "o", mask_out=folder, **FAST)


def test_masks_that_end_early_leave_the_rest_alone(tmp_path):
    source = save_folder(tmp_path / "in", with_logo(panned(3, 8)))
    rng = np.random.default_rng(0)  # no two masks are the same bytes
    white = [np.dstack([LOGO * rng.integers(200, 255, LOGO.shape, np.uint8)] * 3) for _ in "123"]
    mask = with_a_damaged_frame(tmp_path / "mask.mkv", white, 2)
    result = video.edit(source, mask, tmp_path / "out", **FAST)
    assert "fewer masks" in result.notes[0]
    assert np.array_equal(load_folder(tmp_path / "out", 3)[2], load_folder(source, 3)[2])


def test_what_can_be_read_of_a_damaged_video_is_done(tmp_path):
    source = with_a_damaged_frame(tmp_path / "in.mkv", with_logo(panned(4, 8)), 2)
    result = video.edit(source, LOGO, tmp_path / "out.mp4", **FAST)
    assert result.notes == ("Of 4 frames 3 could be read: the video is damaged or cut.",)
    assert [round(f.time * 25) for f in decoded(tmp_path / "out.mp4")] == [0, 1, 3]
    whole = save_video(tmp_path / "whole.mkv", with_logo(panned(8, 8)), codec="ffv1")
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = video.edit(tmp_path / "cut.mkv", LOGO, tmp_path / "out.mp4", **FAST)
    assert result.frames < 5 and "could be read" in result.notes[0]


def test_an_estimate_brackets_the_work(tmp_path):
    source = save_video(tmp_path / "in.mp4", with_logo(panned(5)))
    told = video.estimate(source, LOGO, **FAST)
    assert told.frames == 5 and 0 < told.fastest < told.slowest


# What it refuses


def damaged(tmp_path, keep):
    data = save_video(tmp_path / "whole.mp4", panned(4)).read_bytes()
    (tmp_path / "in.mp4").write_bytes(data[: int(len(data) * keep)])
    return tmp_path / "in.mp4"


def written(name, text):
    def make(tmp_path):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return make


SOURCES = {
    "nothing there": (lambda folder: folder / "no.mp4", "not there"),
    "no pictures": (lambda folder: folder, "no pictures"),
    "text": (written("in.mp4", "hello " * 99), "cannot be read"),
    "empty": (written("in.mp4", ""), "cannot be read"),
    "a list of files": (lambda folder: listed(folder), "cannot be read"),
    "cut short": (lambda folder: damaged(folder, 0.5), "cannot be read"),
    "sound alone": (lambda folder: sound_alone(folder), "no video"),
    "too wide": (lambda folder: too_wide(folder), "at most 16384"),
}


def listed(tmp_path):
    save_video(tmp_path / "other.mp4", panned(2))
    (tmp_path / "in.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    return tmp_path / "in.mp4"


def too_wide(tmp_path):
    strip = np.zeros((32, 20000, 3), np.uint8)
    return save_video(tmp_path / "in.mkv", [strip], codec="ffv1", format="yuv444p10le")


def sound_alone(tmp_path):
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        part.sample_rate = 48000
        container.mux([*track.encode(part), *track.encode(None)])
    return tmp_path / "in.mp4"


@pytest.mark.parametrize("make, words", SOURCES.values(), ids=SOURCES)
def test_what_is_no_clip_is_refused_in_a_sentence(tmp_path, make, words):
    with pytest.raises(PictureError, match=words) as caught:
        video.edit(make(tmp_path), LOGO, tmp_path / "out.mp4", **FAST)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert not (tmp_path / "out.mp4").exists() and not list(tmp_path.glob(".*"))


WRONG = {
    "format": ({"out": "out.avi"}, "End its name in"),
    "folder": ({"out": "no/out.mp4"}, "make it first"),
    "size": ({"max_pixels": 1000}, "Make it smaller"),
    "reach": ({"reach": 0}, "reach must be"),
    "candidates": ({"candidates": 2}, "filled once"),
    "task": ({"task": "create"}, "can only be filled"),
    "setting": ({"speed": 2}, "no setting 'speed'"),
    "model": ({"model": "no"}, "no model"),
    "empty mask": ({"mask": np.zeros_like(LOGO)}, "Nothing is painted"),
}


@pytest.mark.parametrize("change, words", WRONG.values(), ids=WRONG)
def test_wrong_wishes_are_refused_before_the_work(tmp_path, change, words):
    source = save_video(tmp_path / "in.mp4", panned(2))
    change = {"mask": LOGO, "out": "out.mp4", **FAST, **change}
    mask, out = change.pop("mask"), tmp_path / change.pop("out")
    with pytest.raises(ValueError, match=words):
        video.edit(source, mask, out, progress=lambda moment: pytest.fail(), **change)
    assert [file.name for file in tmp_path.iterdir()] == ["in.mp4"]


def test_masks_must_be_as_many_as_frames(tmp_path):
    source = save_video(tmp_path / "in.mp4", panned(3))
    empty = np.zeros(SIZE[::-1], np.uint8)
    with pytest.raises(ValueError, match="There are 2 masks and 3 frames"):
        video.edit(source, save_folder(tmp_path / "two", [empty] * 2), tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="Nothing is painted in any frame"):
        video.edit(source, save_folder(tmp_path / "three", [empty] * 3), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_the_result_never_goes_over_its_masks(tmp_path):
    source = save_folder(tmp_path / "in", with_logo(panned(2)))
    holes = save_folder(tmp_path / "masks", [np.uint8(255) * LOGO] * 2)
    before = [file.read_bytes() for file in sorted(holes.iterdir())]
    with pytest.raises(PictureError, match="overwrite its masks"):
        video.edit(source, holes, tmp_path / "in" / ".." / "masks", **FAST)
    assert [file.read_bytes() for file in sorted(holes.iterdir())] == before


def test_a_video_of_masks_has_the_shape_of_the_clip(tmp_path):
    source = save_video(tmp_path / "in.mp4", with_logo(panned(2)))
    holes = save_video(tmp_path / "masks.mp4", [np.zeros((64, 32, 3), np.uint8)] * 2)
    with pytest.raises(PictureError, match="give a mask of the picture's shape"):
        video.edit(source, holes, tmp_path / "out.mp4", **FAST)


@pytest.mark.parametrize("name", ["deep.png", "bands.tif"])
def test_pictures_of_another_kind_are_no_frames(tmp_path, name):
    source = save_folder(tmp_path / "in", with_logo(panned(2)))
    pixels = np.zeros((*SIZE[::-1], 5), np.uint8)
    if name == "bands.tif":
        odd = pictures.Picture(pixels, bands=True, extras={"bands": (1, (0,) * 5)})
    else:
        odd = pictures.Picture(pixels[..., :3].astype(np.uint16))
    pictures.write(odd, source / f"z1-{name}")
    with pytest.raises(PictureError, match="Save all as RGB or grey of 8 bits, or of 16"):
        video.edit(source, LOGO, tmp_path / "out", **FAST)


def test_frames_never_go_over_their_source(tmp_path):
    source = save_folder(tmp_path / "in", panned(2))
    with pytest.raises(PictureError, match="another folder"):
        video.edit(source, LOGO, source, **FAST)
    with pytest.raises(PictureError, match="go to a folder"):
        video.edit(source, LOGO, tmp_path / "out.mp4", **FAST)
    Image.fromarray(WIDE).save(source / "frame-2.png")
    with pytest.raises(PictureError, match="200 × 120 pixels"):
        video.edit(source, LOGO, tmp_path / "out", **FAST)
