# SPDX-License-Identifier: MIT
"""Debian packages, downloaded and unpacked into the cache; nothing is installed.

A set is a name of ours for what packages are wanted for, whatever they are called in this release of Debian.
.cache/packages/SET is a link to PACKAGE_VERSION beside it, which is their tree, named after the first of them;
while the link stands apt is not asked again, so a set stays as it is until the cache goes.
"""
import collections
import glob
import os
import re
import tempfile

from . import cache
from .program import Problem, ask

# package: its name, or where it begins with ^ a pattern: the newest that fits.  behind: a pattern of the packages
# to take in its place, those that it depends on (Debian's metapackages lead to a version so).  newer_than: a set
# that it is to be newer than.  libraries: with all that it is linked to.  release: of Debian, if not this one.
Set = collections.namedtuple('Set', 'package behind newer_than libraries release', defaults=(None, None, False, None))

KERNEL = r'linux-image-\S+'
SETS = {
    'cloud': Set('linux-image-cloud-amd64', KERNEL),
    'cloud-newer': Set(r'^linux-image-[\d.]+-cloud-amd64$', KERNEL, newer_than='cloud'),
    'generic': Set('linux-image-amd64', KERNEL),
    'rt': Set('linux-image-rt-amd64', KERNEL),
    'grub-xen': Set('grub-xen-host'),
    'cloudhv': Set('cloudhv-efi-x86-64', release='forky'),
    'busybox': Set('busybox-static'),
    'dropbear': Set('dropbear-bin', libraries=True),
    'virtiofsd': Set('virtiofsd', libraries=True, release='trixie'),
    'fio': Set('fio', libraries=True),
    'iperf3': Set('iperf3', libraries=True),
    'tcc': Set('tcc', libraries=True),
    'linux-source': Set('linux-source', r'linux-source-[\d.]+'),
    'xen': Set('xen-system-amd64', r'xen-hypervisor-[\d.]+-amd64'),
    'xen-tools': Set('xen-system-amd64', r'xen-utils-[\d.]+', libraries=True),
}
KERNELS = [name for name, wanted in SETS.items() if wanted.behind == KERNEL]
NO_MIRROR = 'apt has no lists from a mirror of Debian: run `apt-get update` as root'


class Missing(Problem):
    """Apt knows no package for this set."""


def get(name):
    """The directory of the set NAME's packages, fetched if need be."""
    link = cache.path('packages', name)
    if os.path.isdir(link):
        return os.path.realpath(link)
    with cache.lock('packages'):
        if not os.path.isdir(link):
            cache.sweep(os.path.dirname(link))
            apt = _apt(SETS[name].release)
            _fetch(apt, _find(name, apt), link)
    return os.path.realpath(link)


def why_not(name):
    """Why this Debian cannot have the set NAME, or None; no package is fetched."""
    try:
        if not os.path.isdir(cache.path('packages', name)):
            _find(name, _apt(SETS[name].release))
    except Missing as missing:
        return str(missing)
    return None


def within(tree, pattern):
    """The one path in a set's TREE that fits PATTERN, whether it was packed for / or for /usr."""
    found = glob.glob(os.path.join(tree, pattern)) + glob.glob(os.path.join(tree, 'usr', pattern))
    if len(found) != 1:
        raise Problem(f'{tree} holds {len(found)} of {pattern} instead of one: remove it and run again')
    return found[0]


def mirrors():
    """The archives of Debian that apt has lists of: Debian's own name for each -> where it is."""
    said = ask(['apt-get', 'indextargets', '--format', '$(LABEL) $(REPO_URI)', 'Created-By: Packages',
                 'Origin: Debian']).stdout
    return {label: uri.rstrip('/') for label, uri in re.findall(r'^(\S+) (https?://\S+)$', said, re.M)}


def _apt(release):
    """Options for apt, with which it looks at RELEASE of Debian, on this machine's mirror and in lists of its own, or
    if that is None at what this machine has."""
    # apt's own unprivileged user could not write to the cache; root has to say that this is meant.
    settings = {'APT::Sandbox::User': 'root'} if os.geteuid() == 0 else {}
    if release:
        settings.update({'Dir::Etc::SourceList': cache.path('apt', f'{release}.list'), 'Dir::Etc::SourceParts': '-',
                         'Dir::State::Lists': cache.path('apt', release),
                         'Dir::Cache::PkgCache': '', 'Dir::Cache::SrcPkgCache': ''})
    apt = [word for name, value in settings.items() for word in ('-o', f'{name}={value}')]
    if release:
        _update(apt, release, settings['Dir::Etc::SourceList'], settings['Dir::State::Lists'])
    return apt


def _update(apt, release, sources, lists):
    """Have apt's lists of RELEASE at hand, fetched if there are none of late."""
    with cache.lock('apt'):
        if cache.is_recent(lists):
            return
        cache.sweep(os.path.dirname(lists))
        mirror = mirrors().get('Debian')
        if not mirror:
            raise Missing(NO_MIRROR)
        cache.write_file(sources, f'deb {mirror} {release} main\n'.encode())
        try:
            with cache.new_dir(lists) as new:
                _run(['apt-get', *apt, '-o', f'Dir::State::Lists={new}', '-q', '--error-on=any', 'update'])
        except Problem as problem:
            raise Missing(f'the mirror has no {release}, or does not answer: {problem}') from problem


def _find(name, apt):
    """The packages of a set, each with its version: the one that it is named after first."""
    wanted = SETS[name]
    found = (_newest if wanted.package.startswith('^') else _named)(wanted.package, apt)
    if found and wanted.behind:
        found = next((package for package in _depends(found) if re.fullmatch(wanted.behind, package)), None)
        found = _named(found, apt) if found else None
    if found and wanted.newer_than and _age(found['Version']) <= _age(_find(wanted.newer_than, apt)[0][1]):
        found = None
    if not found:
        raise Missing(f'apt knows no package for {name} ({wanted.package.strip("^$")}): run `apt-get update` as root; '
                      'if that does not help, its sources lack this release\'s main or security archive, or the '
                      'release has none')
    packages = {found['Package']: found}
    more = _libraries(found) if wanted.libraries else []
    while more:
        more = {package: fields for package, fields in _show(more, apt).items() if package not in packages}
        packages.update(more)
        more = [library for fields in more.values() for library in _libraries(fields)]
    return [(package, fields['Version']) for package, fields in packages.items()]


def _named(package, apt):
    """The fields of PACKAGE; None if there is none."""
    return _show([package], apt).get(package)


def _newest(pattern, apt):
    """The fields of the newest package whose name fits PATTERN; None if there is none."""
    names = _run(['apt-cache', *apt, 'pkgnames']).split()
    found = _show([name for name in names if re.match(pattern, name)], apt).values()
    return max(found, key=lambda fields: _age(fields['Version']), default=None)


def _age(version):
    """Something to compare versions of a kernel by."""
    return [int(part) for part in re.findall(r'\d+', version)]


def _show(packages, apt):
    """What apt says of each package that it knows: name -> fields."""
    if not packages:
        return {}
    # It fails if it does not know one of them, but says what it knows of the others.
    text = _run(['apt-cache', *apt, 'show', '--no-all-versions', *packages], expected=(0, 100))
    stanzas = (dict(re.findall(r'^(\S+): (.*)$', stanza, re.M)) for stanza in text.split('\n\n'))
    return {fields['Package']: fields for fields in stanzas if 'Package' in fields}


def _depends(fields):
    """Names of the packages that one depends on, the first of each choice."""
    both = ', '.join(fields[name] for name in ('Pre-Depends', 'Depends') if name in fields)
    return re.findall(r'(?:^|, )([a-z0-9][a-z0-9+.-]+)', both)


def _libraries(fields):
    return [package for package in _depends(fields) if package.startswith(('lib', 'zlib'))]


def _fetch(apt, packages, link):
    package, version = packages[0]
    final = os.path.join(os.path.dirname(link), f'{package}_{version.replace(":", "%3a")}')
    if not os.path.isdir(final):
        with tempfile.TemporaryDirectory(prefix='.new-', dir=os.path.dirname(link)) as tmp:
            debs = _download(apt, packages, tmp)
            with cache.new_dir(final) as tree:
                for deb in debs:
                    _run(['dpkg-deb', '-x', deb, tree])
    tmp = link + '.new'
    if os.path.lexists(tmp):
        os.unlink(tmp)
    os.symlink(os.path.basename(final), tmp)
    os.rename(tmp, link)


def _download(apt, packages, directory):
    wanted = [f'{package}={version}' for package, version in packages]
    _run(['apt-get', *apt, '-q', 'download', *wanted], cwd=directory)
    return sorted(glob.glob(os.path.join(directory, '*.deb')))


def _run(command, cwd=None, expected=(0,)):
    """What a command of apt's or dpkg's prints."""
    done = ask(command, cwd)
    if done.returncode in expected:
        return done.stdout
    reason = '; '.join(done.stderr.strip().splitlines()[-2:]) or f'status {done.returncode}'
    raise Problem(f'{" ".join(command[:1] + command[-2:])} failed: {reason}')
