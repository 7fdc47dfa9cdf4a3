# Sourced: buildah as it works without a container engine, as root and in a container alike. Its storage is
# ${INDEXWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/indexwright}/images, apart from that of the system.
images=${INDEXWRIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/indexwright}/images
storage=(--root "$images/storage" --runroot "$images/run" --storage-driver vfs)

# buildah_here COMMAND [ARGUMENT...]
buildah_here() {
  local command=$1
  shift
  BUILDAH_ISOLATION=chroot buildah "${storage[@]}" "$command" "$@"
}
