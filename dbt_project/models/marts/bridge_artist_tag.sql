{{ tags_of('artist') }}
