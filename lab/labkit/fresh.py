# SPDX-License-Identifier: MIT
"""A minimal Debian with nothing in it but what a newcomer needs for a clone: git, make, certificates.

It is made by mmdebstrap, from this machine's mirror by the way that apt goes here, and kept as an archive.  Every
run unpacks it anew.  Only what apt downloads in it is kept from run to run.
"""
import contextlib
import os
import re
import shutil
import subprocess
import tempfile

from . import cache, packages
from .program import Problem, ask

RELEASES = ('bookworm', 'trixie')
PACKAGES = ('git', 'make', 'ca-certificates')
USER = 'newcomer'
RUN = os.path.join(cache.TOP, 'lab', 'fresh-root', 'run.sh')
# How apt reaches its sources, and what it asks of them.
TAKEN_OVER = r'Acquire::(https?|ftp|ForceIPv[46]|Retries|Check-\S+)\b(?!.*Auto-Detect)'


def as_root():
    """What a command is put behind to run as root; None if that cannot be had without a question."""
    if os.geteuid() == 0:
        return []
    if not shutil.which('sudo') or ask(['sudo', '-n', 'true']).returncode:
        return None
    return ['sudo', '-n', '--']


def why_not(release):
    """Why there can be no fresh RELEASE here, or None."""
    if 'PRONTO_FRESH' in os.environ:
        return 'this is a fresh Debian already'
    for name in ('mmdebstrap', 'unshare', 'git'):
        if not shutil.which(name):
            return f'there is no {name} here: run scripts/setup'
    if as_root() is None:
        return 'this needs root\'s rights, and sudo is not here or wants a password'
    if ask([*as_root(), 'unshare', '--mount', '--pid', '--uts', '--fork', 'mount', '-t', 'tmpfs', 'none', '/mnt']).returncode:
        return 'root may not mount here'
    if ask(['git', '-C', cache.TOP, 'rev-parse', 'HEAD']).returncode:
        return 'this tree is no clone of a git repository, of which a clone could be made'
    mirror = packages.mirrors().get('Debian')
    if not mirror:
        return packages.NO_MIRROR
    with tempfile.TemporaryDirectory() as scratch:
        probe = ask(['/usr/lib/apt/apt-helper', 'download-file', f'{mirror}/dists/{release}/InRelease', f'{scratch}/probe'])
    return f'{mirror} does not answer, or has no {release}' if probe.returncode else None


def run(release, command, with_sudo, tell):
    """Run COMMAND in a fresh RELEASE, in a clone of what is committed here; its exit status.  It runs as root, or
    WITH_SUDO as a user whose sudo asks no password."""
    user = USER if with_sudo else 'root'
    with cache.lock(f'fresh-{release}'):
        root = as_root()
        directory = cache.path('fresh', release, 'x')[:-2]
        _sweep(directory)
        archive = _archive(directory, release, [*PACKAGES, *(['sudo'] if with_sudo else [])], tell)
        debs = os.path.join(directory, 'debs')
        os.makedirs(debs, exist_ok=True)
        with _scratch(directory) as scratch:
            place, clone = os.path.join(scratch, 'root'), os.path.join(scratch, 'pronto.git')
            os.mkdir(place)
            if ask(['git', '-C', cache.TOP, 'status', '--porcelain', '-uno']).stdout:
                tell('what is not committed is not in it')
            _must(['git', 'clone', '-q', '--bare', '--depth=1', f'file://{cache.TOP}', clone])
            try:
                return _wait([*root, 'unshare', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child', RUN,
                              archive, place, debs, clone, user, *command])
            finally:
                _must([*root, 'chown', '-R', f'{os.getuid()}:{os.getgid()}', debs])


def _archive(directory, release, names, tell):
    """The path of the archive of a root with the packages of these names, made if there is none of late."""
    lines, options = sources(release), apt_options()
    result = os.path.join(directory, f'{cache.digest(*names, *lines, options)}.tar')
    if cache.is_recent(result):
        return result
    tell(f'making a minimal {release}')
    with _scratch(directory) as scratch:
        made, settings = os.path.join(scratch, 'root.tar'), os.path.join(scratch, 'apt.conf')
        with open(settings, 'w', encoding='utf-8') as file:
            file.write(options)
        _must([*as_root(), 'mmdebstrap', '--quiet', '--variant=minbase', f'--include={",".join(names)}',
               f'--aptopt={settings}', release, made, *lines])
        os.rename(made, result)
    for old in os.scandir(directory):
        if old.name.endswith('.tar') and not cache.is_recent(old.path):
            os.unlink(old)
    return result


def sources(release):
    """The lines of a sources.list with which RELEASE comes from this machine's mirrors."""
    mirrors = packages.mirrors()
    if 'Debian' not in mirrors:
        raise Problem(packages.NO_MIRROR)
    lines = [f'deb {mirrors["Debian"]} {suite} main' for suite in (release, f'{release}-updates')]
    if 'Debian-Security' in mirrors:
        lines.append(f'deb {mirrors["Debian-Security"]} {release}-security main')
    return lines


def apt_options():
    """This machine's settings of apt that are needed elsewhere, as text of an apt.conf."""
    said = ask(['apt-config', 'dump', '--no-empty', '--format', '%F "%v";%n']).stdout
    options = [line for line in said.splitlines() if re.match(TAKEN_OVER, line)]
    options += [f'Acquire::{scheme}::Proxy "{os.environ[f"{scheme}_proxy"]}";' for scheme in ('http', 'https')
                if os.environ.get(f'{scheme}_proxy')]
    return ''.join(f'{line}\n' for line in options)


@contextlib.contextmanager
def _scratch(directory):
    """A directory for what belongs to root, and is gone afterwards."""
    scratch = tempfile.mkdtemp(prefix='.new-', dir=directory)
    try:
        yield scratch
    finally:
        _must([*as_root(), 'rm', '-rf', '--one-file-system', scratch])


def _sweep(directory):
    """Remove what killed runs have left."""
    left = [entry.path for entry in os.scandir(directory) if entry.name.startswith('.new-')]
    if left:
        _must([*as_root(), 'rm', '-rf', '--one-file-system', *left])


def _wait(command):
    """Run a command that ends when we do; its exit status."""
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                ask([*as_root(), 'kill', str(process.pid)])


def _must(command):
    done = ask(command)
    if done.returncode:
        name = next(word for word in command if word not in ('sudo', '-n', '--'))
        raise Problem(f'{name} failed: {"; ".join(done.stderr.strip().splitlines()[-3:])}')
