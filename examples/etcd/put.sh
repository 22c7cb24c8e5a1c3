#!/usr/bin/env bash
# Two APIs behind one endpoint, rate-limited: `put.sh http://10.0.0.1:8080 http://10.0.0.2:8080`
set -euo pipefail
first=${1:?"usage: $0 URL-OF-FOO URL-OF-BAR"}
second=${2:?"usage: $0 URL-OF-FOO URL-OF-BAR"}

put() { etcdctl put "$1" -- "$2"; }

put traefik true

put traefik/http/services/foo/loadbalancer/servers/0/url "$first"
put traefik/http/services/bar/loadbalancer/servers/0/url "$second"

put traefik/http/middlewares/strip-foobar/stripPrefix/prefixes/0 /foo
put traefik/http/middlewares/strip-foobar/stripPrefix/prefixes/1 /bar
put traefik/http/middlewares/ratelimit-foobar/rateLimit/average 10
put traefik/http/middlewares/ratelimit-foobar/rateLimit/burst 20
put traefik/http/middlewares/ratelimit-foobar/rateLimit/period 1

for name in foo bar; do
  put "traefik/http/routers/$name/service" "$name"
  put "traefik/http/routers/$name/middlewares/0" strip-foobar
  put "traefik/http/routers/$name/middlewares/1" ratelimit-foobar
  put "traefik/http/routers/$name/rule" "Path(\`/$name\`)"
done
