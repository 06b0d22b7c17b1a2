#!/usr/bin/env bash
# Tries `weightnorm data` as a user would, against a web server of this machine. `Scripts/test-data.sh COMMAND`
#
# With the real MNIST (in ../shared/data/mnist, or mnist in the folder named by WEIGHTNORM_DATA) also what ends well; without it that part is skipped.
set -euo pipefail
command=$(realpath "${1:?the weightnorm command to try}")
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mnist=${WEIGHTNORM_DATA:-$scripts/../../shared/data}/mnist
work=$(mktemp -d)
server=""
stop() {
    # The server ends with its standard input.
    exec 5>&-
    [[ -z $server ]] || wait "$server" || true
    rm -rf "$work"
}
trap stop EXIT
cd "$work"
export XDG_CACHE_HOME=$work/cache no_proxy=127.0.0.1 LC_ALL=C
passed=0 failed=0
ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() {
    echo "not ok - $1"
    failed=$((failed + 1))
    sed 's/^/    /' out.log error.log
}
run() { # ARGUMENTS…: sets `status`
    status=0
    "$command" data "$@" >out.log 2>error.log </dev/null || status=$?
}
check() { # WHAT CONDITION…
    local what=$1
    shift
    if "$@"; then ok "$what"; else not_ok "$what"; fi
}
ends_well() { ((status == 0)); }
# The last line is the error, whatever the tries before said; nothing on the standard output but results.
refuses() { ((status != 0 && status < 128)) && grep -qE "^weightnorm: error: .*$1" <(tail -n 1 error.log) && (($(grep -c "^weightnorm: error: " error.log) == 1)); }
prints() { grep -qE -- "$1" out.log; }
leaves() { [[ "$(ls -A "$1" | grep -v '\.lock$' | tr '\n' ' ')" == "$2" ]]; }

mkdir served
head -c 3000 /dev/urandom >served/train-images-idx3-ubyte.gz
head -c 3000 /dev/urandom >served/cifar-10-binary.tar.gz
mkfifo input
python3 "$scripts/test-server.py" "$work/served" <input >port &
server=$!
exec 5>input
for _ in {1..100}; do [[ -s port ]] && break; sleep 0.1; done
address=http://127.0.0.1:$(cat port)
[[ "$address" != *: ]] || { echo "error: the test's web server did not start" >&2; exit 1; }

# -- Without any data
for subcommand in list fetch verify; do
    run "$subcommand" --help
    check "data $subcommand --help" prints '^USAGE: weightnorm data'
done
run list
check "list names every set" prints '^mnist$'
check "list says what is not here" prints 'no: weightnorm data fetch cifar10'
run fetch cifar10 --from "$address/good"
check "a file that is no archive" refuses 'cifar10: cannot get cifar-10-binary.tar.gz: .*wrong bytes, deleted \(expected MD5 c32a1d4ab5d03f1284b67883e8d87530, found'
check "…leaves nothing" leaves cache/swift-weightnorm ""
run fetch mnist --from "$address/missing"
check "a file that the server lacks" refuses 'expected status 200, found 404'
check "…leaves nothing" leaves cache/swift-weightnorm ""
run fetch mnist --from http://127.0.0.1:1/
check "no server" refuses 'cannot reach the server'
run fetch mnist --from "${address/http:/HTTP:}/missing"
check "an address in capitals" refuses 'expected status 200, found 404'
# Whatever a server says or sends: one line, little memory.
peak() { # ARGUMENTS…: sets `status` and `kilobytes`, the most memory that the command had
    status=0
    kilobytes=$(python3 -c '
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=open("out.log", "w"), stderr=open("error.log", "w")).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code if code >= 0 else 128 - code)' "$command" data "$@") || status=$?
}
peak list
start=$kilobytes
frugal() { ((kilobytes < start + 100 * 1024)); }
for way in endless unframed bomb chained zstd huge padded garbage negative loop; do
    peak fetch mnist --from "$address/$way"
    check "a server that is $way" refuses 'mnist: cannot get train-images-idx3-ubyte.gz: '
    check "…takes less than 100 MiB" frugal
done
check "…and leaves nothing" leaves cache/swift-weightnorm ""
mkdir -p programs/gzip
PATH=$work/programs:$PATH run fetch cifar10 --from "$address/good"
check "a folder named gzip is not the program" refuses 'gzip cannot unpack it|wrong bytes'
run fetch mnist --from nowhere
check "no folder" refuses "expected an address .* or a folder, found 'nowhere'"
run fetch mnist --from served
check "a folder with another file of that name" refuses 'served/train-images-idx3-ubyte.gz: '
run fetch imagenet
check "an unknown set" refuses "expected data sets out of cifar10, fashion-mnist, mnist, found 'imagenet'"
run fetch
check "no set" refuses "name"
run fetch mnist --from "$address/good" --to port/below
check "a folder that cannot be made" refuses 'cannot make the folder port/below'
run verify mnist
check "verify names what is missing" refuses 'train-images-idx3-ubyte missing; .*t10k-labels-idx1-ubyte missing'
run verify served
check "verify tells a set by its files" refuses 'train-images-idx3-ubyte wrong \('
run verify nowhere
check "verify of nothing" refuses "or a folder, found 'nowhere'"
mkdir empty
run verify empty
check "verify of an empty folder" refuses 'expected the files of one of the data sets'

# -- With the real MNIST
if [[ ! -f $mnist/train-images-idx3-ubyte.gz ]]; then
    echo "skipped - fetches that end well: MNIST is neither in ../shared/data/mnist nor in mnist of the folder that WEIGHTNORM_DATA names"
else
    cp -f "$mnist"/*.gz served/
    chmod u+w served/*
    run fetch mnist --from "$address/ignores"
    check "fetch over connections that break, from a server without ranges" ends_well
    check "…says where it is" prints "mnist: 4 of 4 files fetched, all checked, in $work/cache/swift-weightnorm/mnist"
    check "…and leaves nothing else" leaves cache/swift-weightnorm "mnist "
    run fetch mnist --from "$address/missing"
    check "a second fetch asks for nothing" prints "all 4 files were there and right"
    run verify mnist
    check "verify" ends_well
    run verify "$mnist"
    check "verify of packed files in a folder" ends_well
    run list
    check "list says what is here" prints "here     $work/cache/swift-weightnorm/mnist"

    printf 'x' | dd of=cache/swift-weightnorm/mnist/t10k-labels-idx1-ubyte bs=1 seek=5000 conv=notrunc status=none
    rm cache/swift-weightnorm/mnist/train-labels-idx1-ubyte
    run verify mnist
    check "verify names what is wrong and missing" \
        refuses 'train-labels-idx1-ubyte missing; t10k-labels-idx1-ubyte wrong \(expected MD5 27ae3e4e09519cfbb04c329615203637, found'
    run fetch mnist --from "$mnist"
    check "fetch mends it from a folder" prints "mnist: 2 of 4 files fetched"
    run verify mnist
    check "…and then it is right" ends_well

    "$command" data fetch mnist --from "$address/slow" --to interrupted >out.log 2>error.log </dev/null &
    fetch=$!
    for _ in {1..100}; do [[ -s interrupted/.mnist.download/train-images-idx3-ubyte.gz.part ]] && break; sleep 0.1; done
    # As Control-C does; a job in the background of a script ignores SIGINT itself.
    kill -TERM "$fetch"
    status=0
    wait "$fetch" || status=$?
    check "a fetch that is ended midway keeps its part" test -s interrupted/.mnist.download/train-images-idx3-ubyte.gz.part
    run fetch mnist --from "$address/slow" --to interrupted
    check "…and goes on" ends_well
    requests() { python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())' "$address/log"; }
    check "…from where it was" grep -qE '^/slow/train-images-idx3-ubyte.gz bytes=[1-9]' <(requests)
    check "…leaving nothing else" leaves interrupted "mnist "
    run verify interrupted/mnist
    check "…and all is right" ends_well
fi

echo "$passed passed, $failed failed"
((failed == 0))
