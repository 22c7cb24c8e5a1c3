#!/bin/sh
# Writes the walk-through's keys: a load balancer, two APIs under one name, and a rate limit.
#   examples/etcd/load.sh http://127.0.0.1:9001 http://127.0.0.1:9002
set -eu
one=${1:?usage: load.sh URL URL}
two=${2:?usage: load.sh URL URL}
export ETCDCTL_API=3

put() { etcdctl put "traefik/$1" -- "$2"; }

etcdctl put traefik -- true

put http/services/whoami/loadbalancer/servers/0/url "$one"
put http/services/whoami/loadbalancer/servers/1/url "$two"
put http/routers/whoami/rule 'Path(`/whoami`)'
put http/routers/whoami/service whoami

put http/services/foo/loadbalancer/servers/0/url "$one"
put http/services/bar/loadbalancer/servers/0/url "$two"
put http/middlewares/strip-foobar/stripPrefix/prefixes/0 /foo
put http/middlewares/strip-foobar/stripPrefix/prefixes/1 /bar
put http/middlewares/ratelimit-foobar/rateLimit/average 10
put http/middlewares/ratelimit-foobar/rateLimit/burst 20
put http/middlewares/ratelimit-foobar/rateLimit/period 1
for name in foo bar; do
    put "http/routers/$name/service" "$name"
    put "http/routers/$name/middlewares/0" strip-foobar
    put "http/routers/$name/middlewares/1" ratelimit-foobar
    put "http/routers/$name/rule" "Path(\`/$name\`)"
done
