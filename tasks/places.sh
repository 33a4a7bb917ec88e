# The folders that a task may write to, as Deno's --allow-write takes them: never one more than pipeline/files/places.ts
# and cacheFolder() use. Without an argument the home of raw files, cases and runs, and temporary files.
# Deno's list has no way to write a comma inside a path: such a path is left out, and what writes there says so.
case $SSNET_HOME in
  '') home=data ;;
  /*) home=$SSNET_HOME ;;
  *) home=${INIT_CWD:-$PWD}/$SSNET_HOME ;;
esac
temporary=${TMPDIR:-/tmp}
case $XDG_CACHE_HOME in
  /*) cache=$XDG_CACHE_HOME/ss-net ;;
  *) cache=$HOME/.cache/ss-net ;;
esac
case $1 in
  cache) set -- "$cache" ;;
  temporary) set -- "$temporary" ;;
  *) set -- "$home" "$temporary" ;;
esac
places=
for place; do
  case $place in
    *,*) ;;
    *) places=${places:+$places,}$place ;;
  esac
done
printf %s "${places:-/dev/null}"
