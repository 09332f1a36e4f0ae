"""A signed file of records: taken from whom one trusts, as it was signed, or not at all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from orchestrator.errors import UsageError
from orchestrator.records import keys
from orchestrator.records.jsonl_read import import_records
from orchestrator.records.jsonl_write import export_records
from orchestrator.records.keys import PublicKey, make_keys, read_private, read_public
from orchestrator.storage import PACK, Storage
from tests.kit.cli_builders import Cli, tuned
from tests.kit.documented import assert_documented


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    with Storage.open(str(tmp_path / "records.db")) as opened:
        tuned(opened)
    return Storage.open(str(tmp_path / "records.db"))


@pytest.fixture
def other(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "other.db"))


@pytest.fixture
def key(tmp_path: Path) -> PublicKey:
    return make_keys(tmp_path / "lab.key")[2]


@pytest.fixture
def stranger(tmp_path: Path) -> PublicKey:
    return make_keys(tmp_path / "stranger.key")[2]


def signed(store: Storage, path: Path, key: str = "lab.key") -> Path:
    private = read_private(path.with_name(key))
    return export_records(store, path, sign=private, signer="the lab").path


def trials(store: Storage) -> int:
    return sum(len(page) for page in store.trials.pages())


def test_what_others_signed_is_stale_until_it_is_measured_here(
    store: Storage, other: Storage, key: PublicKey, tmp_path: Path
) -> None:
    (mine,) = {row.versions["tvm"] for page in store.trials.pages() for row in page if row.versions}
    import_records(other, signed(store, tmp_path / "pack.jsonl"), trust=[key])
    rows = other.answers.best()
    assert rows
    assert all(row.stale for row in rows)
    (row,) = {f"{one.versions['tvm']} {one.versions[PACK]}" for one in other.toolchains.all()}
    assert row == f"{mine} {key.name}"
    # In the store that measured them, they are what they were; an unsigned copy is one's own.
    import_records(store, tmp_path / "pack.jsonl", trust=[key])
    assert not any(row.stale for row in store.answers.best())
    copied = Storage.open(str(tmp_path / "copied.db"))
    import_records(copied, export_records(store, tmp_path / "plain.jsonl").path)
    assert not any(row.stale for row in copied.answers.best())


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz"])
def test_what_a_trusted_key_signed_is_taken(
    store: Storage, other: Storage, key: PublicKey, stranger: PublicKey, tmp_path: Path, name: str
) -> None:
    report = import_records(other, signed(store, tmp_path / name), trust=[stranger, key])
    assert (report.imported, report.bad) == (trials(store), ())
    assert report.signed_by is not None
    assert (report.signed_by.key, report.signed_by.name, report.signed_by.trusted) == (
        key.name,
        "the lab",
        True,
    )


def test_a_signed_file_says_who_measured_on_what_with_which_raw_times(
    store: Storage, key: PublicKey, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in signed(store, tmp_path / "all.jsonl").read_text().splitlines()]
    assert lines[0]["signer"]["name"] == "the lab"
    assert set(lines[-1]) == {"signature"}
    (measured,) = next(line["trial"]["measurements"] for line in lines if "trial" in line)
    toolchains = {
        line["toolchain"]["name"]: line["toolchain"]["versions"] for line in lines if "toolchain" in line
    }
    assert (measured["state"], len(measured["times_s"]) > 0) == ("ok", True)
    assert (measured["device"], measured["host"]) == ("cpu:0", "host-a")
    assert "tunefleet" in toolchains[measured["toolchain"]]


def test_without_trust_a_signed_file_is_taken_like_any_other(
    store: Storage, other: Storage, key: PublicKey, tmp_path: Path
) -> None:
    report = import_records(other, signed(store, tmp_path / "all.jsonl"))
    assert report.imported == trials(store)
    assert report.signed_by is not None
    assert (report.signed_by.trusted, report.signed_by.verified) == (False, True)


def named_signer(path: Path, raw: bytes) -> Path:
    """Write into a signed file that another key signed it, with the sum that it has then."""
    *lines, last = path.read_bytes().splitlines(keepends=True)
    header, signature = json.loads(lines[0]), json.loads(last)
    header["signer"]["key"] = base64.b64encode(raw).decode()
    lines[0] = json.dumps(header).encode() + b"\n"
    signature["signature"]["sha512"] = hashlib.sha512(b"".join(lines)).hexdigest()
    path.write_bytes(b"".join(lines) + json.dumps(signature).encode() + b"\n")
    return path


def test_without_trust_too_nobody_is_named_who_did_not_sign(
    store: Storage,
    other: Storage,
    key: PublicKey,
    stranger: PublicKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = signed(store, tmp_path / "all.jsonl", "stranger.key")
    for raw in (b"no key", key.raw):
        with pytest.raises(UsageError, match="has a signature that is not of SHA256:"):
            import_records(other, named_signer(path, raw))
    assert trials(other) == 0
    # Where it can't be found out, that is kept with the name.
    monkeypatch.setitem(sys.modules, "cryptography", None)
    report = import_records(other, path)
    assert report.signed_by is not None
    assert (report.signed_by.key, report.signed_by.verified) == (key.name, False)
    assert {one.versions[PACK] for one in other.toolchains.all()} == {f"{key.name} (not verified)"}
    assert all(row.stale for row in other.answers.best())


def later_time(data: bytes) -> bytes:
    at = data.index(b'"times_s":[') + len(b'"times_s":[')
    return data[:at] + b"1" + data[at:]


def another_signer(data: bytes) -> bytes:
    return data.replace(b"the lab", b"The Lab", 1)


def lines_dropped(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([*lines[:5], *lines[6:]])


def lines_added(data: bytes) -> bytes:
    return data + b"\n"


def a_trial_added(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([*lines, lines[-2]])


def signed_no_more(data: bytes) -> bytes:
    first, rest = data.split(b"\n", 1)
    header = json.loads(first)
    del header["signer"]
    header["version"] = 1
    return json.dumps(header).encode() + b"\n" + b"".join(rest.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (later_time, "was changed or damaged after"),
        (another_signer, "was changed or damaged after"),
        (lines_dropped, "was changed or damaged after"),
        (lambda data: data[:-1], "is cut off or was changed"),
        (lambda data: data[: len(data) // 2], "is cut off or was changed"),
        (lambda data: b"".join(data.splitlines(keepends=True)[:-1]), "is cut off or was changed"),
        (lines_added, "is cut off or was changed"),
        (a_trial_added, "is cut off or was changed"),
        (signed_no_more, "is not signed, and --trust asks for a signature"),
        (lambda data: data.replace(b'"version":3', b'"version":1', 1), "its first line is of version 1"),
    ],
)
def test_what_was_changed_or_cut_off_is_refused_whole(
    store: Storage,
    other: Storage,
    key: PublicKey,
    tmp_path: Path,
    change: Callable[[bytes], bytes],
    said: str,
) -> None:
    file = signed(store, tmp_path / "all.jsonl")
    file.write_bytes(change(file.read_bytes()))
    for skip_bad in (False, True):
        with pytest.raises(UsageError, match=said):
            import_records(other, file, trust=[key], skip_bad=skip_bad)
    assert trials(other) == 0
    assert other.device_classes.all() == []


def test_every_byte_of_a_file_counts(store: Storage, other: Storage, key: PublicKey, tmp_path: Path) -> None:
    file = signed(store, tmp_path / "all.jsonl")
    whole = file.read_bytes()
    for at in range(0, len(whole) - 10, len(whole) // 40):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(UsageError, match=r"all\.jsonl"):
            import_records(other, file, trust=[key])
    assert trials(other) == 0


def test_a_packed_file_that_is_cut_off_is_refused(
    store: Storage, other: Storage, key: PublicKey, tmp_path: Path
) -> None:
    file = signed(store, tmp_path / "all.jsonl.gz")
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(UsageError, match="is cut off or damaged"):
        import_records(other, file, trust=[key])
    assert trials(other) == 0


def test_a_signature_whose_sum_was_made_to_fit_is_none(
    store: Storage, other: Storage, key: PublicKey, stranger: PublicKey, tmp_path: Path
) -> None:
    file = signed(store, tmp_path / "all.jsonl", "stranger.key")
    header, rest = file.read_bytes().split(b"\n", 1)
    theirs = json.loads(signed(store, tmp_path / "ours.jsonl").read_bytes().split(b"\n", 1)[0])["signer"]
    content = json.dumps({**json.loads(header), "signer": theirs}).encode() + b"\n"
    lines = rest.splitlines(keepends=True)
    content += b"".join(lines[:-1])
    seal = json.loads(lines[-1])
    seal["signature"]["sha512"] = hashlib.sha512(content).hexdigest()
    file.write_bytes(content + json.dumps(seal).encode() + b"\n")
    with pytest.raises(UsageError, match="has a signature that is not of"):
        import_records(other, file, trust=[key])
    assert trials(other) == 0


def test_what_nobody_trusted_signed_is_refused(
    store: Storage, other: Storage, key: PublicKey, stranger: PublicKey, tmp_path: Path
) -> None:
    file = signed(store, tmp_path / "all.jsonl", "stranger.key")
    with pytest.raises(
        UsageError, match=r"says that SHA256:.* \(which calls itself the lab\) signed it"
    ) as refused:
        import_records(other, file, trust=[key])
    assert stranger.name in str(refused.value)
    assert key.name in str(refused.value)
    with pytest.raises(UsageError, match="is not signed"):
        import_records(other, export_records(store, tmp_path / "plain.jsonl").path, trust=[key])
    assert trials(other) == 0


def test_damage_of_a_signed_file_is_seen_without_trust(
    store: Storage, other: Storage, key: PublicKey, tmp_path: Path
) -> None:
    file = signed(store, tmp_path / "all.jsonl")
    file.write_bytes(later_time(file.read_bytes()))
    with pytest.raises(UsageError, match="was changed or damaged"):
        import_records(other, file)


def test_what_is_imported_is_what_was_checked(
    store: Storage, other: Storage, key: PublicKey, tmp_path: Path
) -> None:
    """Who swaps the file between the check and the import changes nothing."""
    file = signed(store, tmp_path / "all.jsonl.gz")
    swapped = gzip.compress(later_time(gzip.decompress(file.read_bytes())))

    def swap(_: str) -> None:
        file.write_bytes(swapped)

    import_records(other, file, trust=[key], say=swap)
    assert file.read_bytes() == swapped
    wanted = {row.candidate: row.times for page in store.trials.pages() for row in page}
    assert {row.candidate: row.times for page in other.trials.pages() for row in page} == wanted


def test_keys_of_openssl_are_read(tmp_path: Path, store: Storage, other: Storage) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    private, public = tmp_path / "openssl.key", tmp_path / "openssl.pub"
    subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True)
    key = read_public(public)
    assert read_private(private).public == key
    assert import_records(other, signed(store, tmp_path / "a.jsonl", "openssl.key"), trust=[key]).imported


def test_keys_are_made_for_one_alone(tmp_path: Path) -> None:
    private, public, key = make_keys(tmp_path / "new.key")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert not read_private(private).readable_by_others
    assert read_public(public) == key
    private.chmod(0o644)
    assert read_private(private).readable_by_others
    with pytest.raises(UsageError, match="never overwritten"):
        make_keys(private)


def test_an_encrypted_key_takes_its_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_keys(tmp_path / "lab.key")
    plain = read_private(tmp_path / "lab.key")
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        plain.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE, raising=False)
    with pytest.raises(UsageError, match="is encrypted: give its passphrase in TUNEFLEET_SIGN_PASSPHRASE"):
        read_private(locked)
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(UsageError, match="has another passphrase"):
        read_private(locked)
    monkeypatch.setenv(keys.PASSPHRASE_VARIABLE, "secret")
    assert read_private(locked).public == plain.public
    # One that needs none isn't bothered by it.
    assert read_private(tmp_path / "lab.key").public == plain.public


def test_what_is_no_such_key_is_refused(tmp_path: Path) -> None:
    private, public, _ = make_keys(tmp_path / "lab.key")
    rsa = generate_private_key(65537, 1024)
    files = {
        "rsa.key": rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "rsa.pub": rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "text": b"no key",
        "broken.key": private.read_bytes().replace(b"MC4", b"MC5"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for read, name, said in (
        (read_private, "lab.key.pub", "is a public key: what signs is a private one"),
        (read_public, "lab.key", "is a private key, which is for who signs alone"),
        (read_private, "rsa.key", "another kind than Ed25519"),
        (read_public, "rsa.pub", "another kind than Ed25519"),
        (read_private, "text", "is no key in PEM"),
        (read_public, "text", "can't be read as a public key"),
        (read_private, "broken.key", "can't be read as a private key"),
        (read_private, "nowhere", "there is no key"),
    ):
        with pytest.raises(UsageError, match=said):
            read(tmp_path / name)
    assert public.exists()


def test_without_the_package_one_is_told_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(UsageError, match=r"pip install 'tunefleet\[signing\]'"):
        read_public(tmp_path / "any")


def test_the_commands_sign_and_trust(tmp_path: Path, store: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli, there = Cli(tmp_path / "records.db"), Cli(tmp_path / "there.db")
    made = cli("records", "keygen", "-o", "team.key", "--json", db=True)
    assert made.code == 0, made.err
    assert_documented(made.document)
    exported = cli(
        "records", "export", "-o", "a.jsonl.gz", "--sign", "team.key", "--signer", "team", "--json"
    )
    assert exported.code == 0, exported.err
    assert_documented(exported.document)
    assert exported.document["signed_by"] == {"key": made.document["key"], "name": "team"}
    imported = there("records", "import", "a.jsonl.gz", "--trust", "team.key.pub", "--json")
    assert imported.code == 0, imported.err
    assert_documented(imported.document, example="records-merge")
    assert imported.document["signed_by"]["trusted"] is True
    said = there("records", "import", "a.jsonl.gz").out
    assert (
        f"signed by {made.document['key']}, which calls itself team; whose key that is was not checked"
        in said
    )
    # Everybody's own name, where none is given.
    assert cli("records", "export", "-o", "b.jsonl", "--sign", "team.key").code == 0


def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli = Cli(tmp_path / "records.db")
    make_keys(tmp_path / "lab.key")
    (tmp_path / "log").write_text("a log")
    for words, said in (
        (["export", "-o", "a.jsonl", "--signer", "me"], "--signer is for a file that is signed"),
        (
            ["export", "m.onnx", "-o", "a.log", "--engine", "autotvm", "--sign", "lab.key"],
            "--sign is for JSON Lines",
        ),
        (["import", "log", "--trust", "lab.key.pub"], "--trust is for a signed file"),
        (
            ["import", "log", "--trust", "lab.key.pub", "--engine", "metaschedule"],
            "--trust is for a signed file",
        ),
    ):
        answer = cli("records", *words)
        assert answer.code == 2, answer.out
        assert said in answer.err
