# SPDX-License-Identifier: MIT
"""Debian packages, downloaded and unpacked into the cache; nothing is installed.

A set is a name of ours for a package, or for several that are unpacked into one tree.  .cache/packages/SET
is a link to PACKAGE_VERSION beside it, which is that tree, named after the first package; while the link
stands apt is not asked again, so a set stays as it is until the cache goes.
"""
import glob
import os
import re
import subprocess
import tempfile

from . import cache
from .cache import Problem

SETS = {
    'cloud': 'linux-image-cloud-amd64',
    'cloud-6.12': 'linux-image-6.12-cloud-amd64',
    'generic': 'linux-image-amd64',
    'busybox': 'busybox-static',
    'linux-source': 'linux-source-6.1',
    'xen': 'xen-hypervisor-4.17-amd64',
    # Xen's tools, with the libraries they are linked to.
    'xen-tools': 'xen-utils-4.17 libxencall1 libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 '
                 'libxengnttab1 libxenhypfs1 libxenmisc4.17 libxenstore4 libxentoolcore1 libxentoollog1 '
                 'libyajl2 libuuid1 liblzma5 libzstd1 zlib1g libc6 libgcc-s1',
}
KERNELS = [name for name, package in SETS.items() if package.startswith('linux-image-')]


def get(name):
    """The directory of the set NAME's package, fetched if need be."""
    link = cache.path('packages', name)
    if os.path.isdir(link):
        return os.path.realpath(link)
    with cache.lock('packages'):
        if not os.path.isdir(link):
            cache.sweep(os.path.dirname(link))
            _fetch(SETS[name], link)
    return os.path.realpath(link)


def _fetch(names, link):
    packages = [_resolve(name) for name in names.split()]
    package, version = packages[0]
    final = os.path.join(os.path.dirname(link), f'{package}_{version.replace(":", "%3a")}')
    if not os.path.isdir(final):
        with tempfile.TemporaryDirectory(prefix='.new-', dir=os.path.dirname(link)) as tmp:
            debs = _download(packages, tmp)
            with cache.new_dir(final) as tree:
                for deb in debs:
                    _run(['dpkg-deb', '-x', deb, tree])
    tmp = link + '.new'
    if os.path.lexists(tmp):
        os.unlink(tmp)
    os.symlink(os.path.basename(final), tmp)
    os.rename(tmp, link)


def _resolve(package):
    """The real package behind a metapackage, and its version."""
    text = _run(['apt-cache', 'show', '--no-all-versions', package], missing=package)
    fields = dict(re.findall(r'^(\S+): (.*)$', text, re.M))
    real = re.match(r'(linux-image-\S+) \(= (\S+)\)', fields.get('Depends', ''))
    return real.groups() if real else (package, fields['Version'])


def _download(packages, directory):
    # apt's own unprivileged user could not write here; root has to say that this is meant.
    options = ['-o', 'APT::Sandbox::User=root'] if os.geteuid() == 0 else []
    wanted = [f'{package}={version}' for package, version in packages]
    _run(['apt-get', *options, '-q', 'download', *wanted], cwd=directory)
    return sorted(glob.glob(os.path.join(directory, '*.deb')))


def _run(command, cwd=None, missing=None):
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
    except FileNotFoundError as err:
        raise Problem(f'{command[0]} is not here: the kernels come from Debian packages, so this needs '
                      'Debian or a relative of it') from err
    if done.returncode == 0 and (done.stdout or not missing):
        return done.stdout
    if missing:
        raise Problem(f'apt knows no package {missing}: run `apt-get update` as root; if that does not '
                      'help, add the bookworm and bookworm-security suites to apt\'s sources')
    reason = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
    raise Problem(f'{" ".join(command[:1] + command[-2:])} failed: {reason}')
