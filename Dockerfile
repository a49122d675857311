# The images of wharf: `full` takes registry:2's place, shell and all; `minimal` has the binary alone.
#
# `cargo xtask image` lays out their file systems below target/image (a static binary, and the busybox of the
# machine that builds) and builds this file in there. Nothing comes from another registry.

FROM scratch AS minimal
COPY minimal/ /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /
VOLUME ["/var/lib/registry"]
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/bin/registry", "healthcheck"]
ENTRYPOINT ["/bin/registry"]
CMD ["serve"]

FROM minimal AS full
COPY shell/ /
ENTRYPOINT ["/entrypoint.sh"]
CMD ["serve"]
