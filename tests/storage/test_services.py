"""Keeping files: measured, named safely, whole or not at all, and each organization's apart."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from core.errors import NotFoundHere
from storage.local import LocalDisk
from storage.models import StoredFile
from storage.services import (
    FileTooLarge,
    delete_file,
    ending_of,
    keep_file,
    open_file,
    read_file,
    safe_name,
)
from tenants.context import WrongOrganization, in_organization, in_public_schema


@pytest.fixture(autouse=True)
def root(settings, tmp_path) -> Path:
    """An empty store."""
    settings.MEDIA_ROOT = str(tmp_path)
    return tmp_path


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


class TestKeepFile:
    def test_keeps_bytes_with_their_size_and_digest(self, inside, root):
        file = keep_file(name="a.txt", content_type="text/plain", content=[b"one ", b"two"], purpose="test")

        assert read_file(file) == b"one two"
        assert (file.size_bytes, file.sha256) == (7, hashlib.sha256(b"one two").hexdigest())
        (path,) = files_in(root)
        assert path.is_relative_to(root / inside.schema_name)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_keeps_nothing_of_what_is_too_large(self, inside, root):
        with pytest.raises(FileTooLarge) as error:
            keep_file(name="a", content_type="text/plain", content=[b"x" * 9] * 9, purpose="test", max_bytes=80)

        assert error.value.status == 413
        assert files_in(root) == []
        assert not StoredFile.objects.exists()

    def test_keeps_nothing_of_what_broke_off(self, inside, root):
        def broken():
            yield b"half"
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            keep_file(name="a", content_type="text/plain", content=broken(), purpose="test")

        assert files_in(root) == []

    def test_does_not_believe_a_content_type_that_is_none(self, inside):
        file = keep_file(name="a", content_type="text/html\r\nX: y", content=b"x", purpose="test")

        assert file.content_type == "application/octet-stream"

    def test_needs_an_organization(self, db):
        with pytest.raises(WrongOrganization):
            keep_file(name="a", content_type="text/plain", content=b"x", purpose="test")

    def test_deletes_row_and_bytes_together(self, inside, root, django_capture_on_commit_callbacks):
        file = keep_file(name="a", content_type="text/plain", content=b"x", purpose="test")

        with django_capture_on_commit_callbacks(execute=True):
            delete_file(file)

        assert files_in(root) == []
        assert not StoredFile.objects.exists()

    def test_says_when_the_bytes_are_gone(self, inside, root):
        file = keep_file(name="a", content_type="text/plain", content=b"x", purpose="test")
        files_in(root)[0].unlink()

        with pytest.raises(NotFoundHere):
            open_file(file)


class TestTwoOrganizations:
    def test_a_row_leads_nowhere_but_to_its_own_folder(self, organization, other_organization):
        with in_organization(organization):
            ours = keep_file(name="a", content_type="text/plain", content=b"secret", purpose="test")

        with in_organization(other_organization):
            assert not StoredFile.objects.exists()
            theirs = StoredFile.objects.create(
                name="a", content_type="text/plain", size_bytes=6, sha256="", location=ours.location
            )
            with pytest.raises(NotFoundHere):
                open_file(theirs)
        with in_public_schema(), pytest.raises(WrongOrganization):
            open_file(ours)


class TestLocalDisk:
    @pytest.mark.parametrize(
        "location", ["", "/etc/passwd", "../a/b", "org_1/../../a", "org_1/..", "org_1/ab/../cd", "org_1", "ORG/ab"]
    )
    def test_refuses_locations_that_lead_elsewhere(self, root, location):
        with pytest.raises(ValueError, match="no location"):
            LocalDisk(root).open(location)

    def test_deletes_what_is_gone_without_a_word(self, root):
        LocalDisk(root).delete("org_1/ab/cdef")


class TestNames:
    @pytest.mark.parametrize(
        ("given", "safe"),
        [
            ("label.png", "label.png"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a\r\nSet-Cookie: b.png", "a_Set-Cookie_ b.png"),
            ("nota fiscal ção.pdf", "nota fiscal ção.pdf"),
            ("", "file"),
            ("...", "file"),
            ("half \ud800.png", "half _.png"),
            ("a\x00b", "a_b"),
        ],
    )
    def test_are_safe_in_folders_and_headers(self, given, safe):
        assert safe_name(given) == safe

    def test_are_short_and_keep_their_ending(self):
        name = safe_name("x" * 900 + ".jpeg")

        assert len(name) <= 200
        assert name.endswith(".jpeg")

    def test_get_an_ending_by_their_type(self):
        assert ending_of("image/png; charset=x") == ".png"
        assert ending_of("what/ever") == ""
