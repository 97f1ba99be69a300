#!/bin/sh
# Lists the statements of the MQTT specification that a test names: mqtt_3_1_2_22_... proves [MQTT-3.1.2-22] of 5.0,
# mqtt311_... the statement of that number in 3.1.1.
set -eu
cd "$(dirname "$0")/.."
statements() {
    grep -rhoE --include='*.rs' --include='*.py' "(fn|def) (test_)?$1(_[0-9]+){4}" codec node chaos |
        sed -E "s/.*$1_([0-9]+)_([0-9]+)_([0-9]+)_([0-9]+)/[MQTT-\1.\2.\3-\4]/" | sort -uV
}
for version in mqtt mqtt311; do
    found=$(statements $version || true)
    case $version in mqtt) name=5.0 ;; *) name=3.1.1 ;; esac
    echo "MQTT $name: $(printf '%s' "$found" | grep -c . || true) statements named by a test"
    if [ -n "$found" ]; then printf '%s\n' "$found" | column -c 110 2>/dev/null || printf '%s\n' "$found"; fi
done
