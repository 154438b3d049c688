"""Arrays on disk: exact, whole, of what they should be, whatever happens to the file."""

import io
import random
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from artv_eval.results.arrays import Damaged, checksums, cleared, opened, read_array, read_arrays, write_arrays

ARRAYS = {"rows": np.arange(12, dtype=np.float32).reshape(3, 4), "names": np.array(["a", "ü", ""])}


@pytest.fixture
def file(tmp_path):
    write_arrays(tmp_path / "kept.npz", "cell/3", ARRAYS)
    return tmp_path / "kept.npz"


@pytest.mark.parametrize("compress", [False, True])
def test_what_was_written_is_read_and_is_an_npz_that_numpy_reads(tmp_path, compress):
    path = tmp_path / "kept.npz"
    write_arrays(path, "cell/3", ARRAYS, compress=compress)
    found = read_arrays(path, "cell/3")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(found[name], array) and found[name].dtype == array.dtype
        with np.load(path) as by_numpy:
            assert np.array_equal(by_numpy[name], array) and str(by_numpy["of"]) == "cell/3"


KINDS = {
    "bytes": np.arange(600, dtype=np.uint8).reshape(2, 50, 2, 3),
    "pieces": np.random.default_rng(0).integers(0, 3, (5, 150_001), np.uint8),  # longer than what is unpacked at once
    "number": np.array(1.5),
    "none": np.zeros((0, 3)),
    "columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big_endian": np.arange(5, dtype=">i4"),
    "records": np.array([(1, 2.5), (3, 4.5)], [("a", "<i4"), ("b", "<f8")]),
    "days": np.array(["2020-01-01"], "M8[D]"),
    "empty_texts": np.array(["", ""], "<U0"),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_arrays_are_those_that_numpy_reads_and_may_be_written_to(tmp_path, name, compress):
    path = tmp_path / "kept.npz"
    write_arrays(path, "x", {name: KINDS[name]}, compress=compress)
    found = read_arrays(path, "x")[name]
    with np.load(path) as file:
        wanted = file[name]
    assert (found.dtype, found.shape, found.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
    assert found.flags.writeable and found.flags.f_contiguous == wanted.flags.f_contiguous


def by_numpy(path):
    """The arrays by zipfile and numpy alone, each member as a whole; None where they refuse."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: np.lib.format.read_array(io.BytesIO(archive.read(name))) for name in archive.namelist()}
    except Exception:
        return None


@pytest.mark.parametrize("compress", [False, True])
def test_whatever_byte_is_another_what_numpy_refuses_is_damage(tmp_path, compress):
    path = tmp_path / "kept.npz"
    write_arrays(path, "x", {"frames": KINDS["bytes"] % 7}, compress=compress)
    whole, refused = path.read_bytes(), 0
    broken = [whole[:i] + bytes([whole[i] ^ flip]) + whole[i + 1 :] for i in range(len(whole)) for flip in (1, 128)]
    for data in broken + [whole[:end] for end in range(len(whole))]:
        path.write_bytes(data)
        wanted = by_numpy(path)
        try:
            found = read_arrays(path, "x")
        except Damaged:
            refused += 1
        else:
            assert wanted is not None and np.array_equal(found["frames"], wanted["frames.npy"])
    assert refused > 2 * len(whole)


@pytest.mark.parametrize("says_so", [True, False])
def test_a_member_that_goes_on_for_long_is_not_held(tmp_path, says_so):
    """64 MB of zeros behind an array of ten bytes; or the directory says that there are the ten bytes alone."""
    path, buffer = tmp_path / "kept.npz", io.BytesIO()
    np.lib.format.write_array(buffer, np.zeros(10, np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.npy", buffer.getvalue() + bytes(64 << 20))
    if not says_so:
        data = bytearray(path.read_bytes())
        for place in (14, data.rindex(b"PK\1\2") + 16):  # of CRC, and two words on of the size
            data[place : place + 4] = zlib.crc32(buffer.getvalue()).to_bytes(4, "little")
            data[place + 8 : place + 12] = len(buffer.getvalue()).to_bytes(4, "little")
        path.write_bytes(data)
    tracemalloc.start()
    try:
        if says_so:
            with pytest.raises(Damaged, match="goes on after its array"):
                read_arrays(path, "x")
        else:
            assert read_arrays(path, "x")["rows"].tolist() == [0] * 10
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_an_array_that_ends_too_early_is_damage(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, KINDS["pieces"])
    with zipfile.ZipFile(tmp_path / "kept.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.npy", buffer.getvalue()[:-1])
    with pytest.raises(Damaged, match="bytes of the array are missing"):
        read_arrays(tmp_path / "kept.npz", "x")


def test_a_file_in_a_wrong_place_is_told_and_one_of_older_versions_is_taken(file):
    with pytest.raises(Damaged, match="it holds 'cell/3'"):
        read_arrays(file, "cell/4")
    np.savez(file, **ARRAYS)  # which does not say what it is of
    assert np.array_equal(read_arrays(file, "cell/4")["rows"], ARRAYS["rows"])


def test_no_flipped_bit_gives_other_values(file):
    whole, draw = file.read_bytes(), random.Random(0)
    for _ in range(300):
        broken = bytearray(whole)
        broken[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(broken)
        try:
            found = read_arrays(file, "cell/3")
        except Damaged as error:
            assert str(error) and "\n" not in str(error)
        else:  # bits that mean nothing, such as those of a time
            assert found.keys() == ARRAYS.keys() and all(np.array_equal(found[k], v) for k, v in ARRAYS.items())


@pytest.mark.parametrize("left", [0, 11, 60, -1])
def test_a_file_that_ends_too_early_is_damaged_and_has_no_checksums(file, left):
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(Damaged):
        read_arrays(file, "cell/3")
    assert checksums(file) is None


def test_a_directory_that_hides_an_array_is_damage(file):
    whole = bytearray(file.read_bytes())
    end = whole.rindex(b"PK\5\6")
    whole[end + 8 : end + 12] = (2).to_bytes(2, "little") * 2  # entries of the three that it has
    file.write_bytes(whole)
    with pytest.raises(Damaged), opened(file) as archive:
        read_array(archive, "rows.npy")


def test_checksums_are_those_of_the_arrays_bytes(file):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, ARRAYS["rows"])
    expected = f"rows.npy:{zlib.crc32(buffer.getvalue()):08x}:{len(buffer.getvalue())}"
    assert checksums(file, leaving_out=("of", "names")) == expected
    with zipfile.ZipFile(file) as archive:
        assert f"of.npy:{archive.getinfo('of.npy').CRC:08x}" in str(checksums(file))


def test_nothing_is_no_damage_and_a_folder_makes_way(tmp_path):
    place = tmp_path / "kept.npz"
    with pytest.raises(FileNotFoundError):
        read_arrays(place, "cell/3")
    assert checksums(place) is None
    (place / "inside").mkdir(parents=True)
    write_arrays(place, "cell/3", ARRAYS)
    assert (tmp_path / "kept.damaged" / "inside").is_dir() and len(read_arrays(place, "cell/3")) == 2
    assert cleared(place) == place


def test_arrays_that_need_pickle_are_damage_and_nothing_runs(tmp_path):
    class Evil:
        def __reduce__(self):
            return pytest.fail, ("what a file held was run",)

    np.savez(tmp_path / "a.npz", rows=np.array([Evil()], dtype=object))
    with pytest.raises(Damaged, match="allow_pickle"):
        read_arrays(tmp_path / "a.npz", "x")
